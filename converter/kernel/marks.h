/* The bytes that delimit fields: separators, double quotes, newlines and carriage returns, one after the other. */
#ifndef AAM_MARKS_H
#define AAM_MARKS_H

#include "vector.h"

struct marks {
    const uint8_t *window; /* the 64 bytes that are looked at */
    const uint8_t *end;
    uint64_t bits; /* marks of the window that are left */
    uint8_t separator;
};

AAM_INLINE uint64_t marks_in(const uint8_t *window, uint8_t separator) {
    aam_bytes vector = load(window);
    return bits_of((aam_truths)((vector == separator) | (vector == '"') | (vector == '\n') | (vector == '\r')));
}

/* Return the marks of a text behind which AAM_SLACK bytes may be read. */
AAM_INLINE struct marks marks_of(const uint8_t *text, const uint8_t *end, uint8_t separator) {
    uint64_t bits = text < end ? marks_in(text, separator) : 0;
    return (struct marks){text, end, bits, separator};
}

/* Return the next mark; the end, or a byte behind it, where there is none. */
AAM_INLINE const uint8_t *next_mark(struct marks *marks) {
    while (marks->bits == 0) {
        if (marks->end - marks->window <= AAM_WINDOW)
            return marks->end;
        marks->window += AAM_WINDOW;
        marks->bits = marks_in(marks->window, marks->separator);
    }
    const uint8_t *mark = marks->window + first_bit(marks->bits);
    marks->bits &= marks->bits - 1;
    return mark;
}

#endif
