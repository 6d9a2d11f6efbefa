/* Where the ID of a line is, and its hash: that of `converter.rows.spill.hashes_of`. */
#ifndef AAM_HASHES_H
#define AAM_HASHES_H

#include "vector.h"

enum { WORD_BYTES = 8, WORD_HALF = 32 };

/* Return the tab that a field ends at, or `end`. Up to `limit` may be read. */
AAM_INLINE const uint8_t *field_end(const uint8_t *start, const uint8_t *end, const uint8_t *limit) {
    for (; start < end && limit - start >= AAM_HALF; start += AAM_HALF) {
        uint64_t tabs = half_bits_of((aam_half_truths)(load_half(start) == '\t'));
        if (tabs != 0)
            return start + first_bit(tabs) < end ? start + first_bit(tabs) : end;
    }
    const uint8_t *tab = start < end ? memchr(start, '\t', (size_t)(end - start)) : NULL;
    return tab == NULL ? end : tab;
}

/* Return the ID of a line, which ends at its newline: the field after the first `skipped` ones. */
AAM_INLINE struct aam_field id_of(const uint8_t *line, const uint8_t *newline, const uint8_t *limit, int64_t skipped) {
    const uint8_t *stop = field_end(line, newline, limit);
    for (; skipped > 0; skipped--) { /* a field that is not there is empty, at the end of the line */
        line = stop < newline ? stop + 1 : newline;
        stop = field_end(line, newline, limit);
    }
    return (struct aam_field){line, stop - line, limit - line};
}

AAM_INLINE uint64_t hash_of(struct aam_field text) {
    const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = ((uint64_t)text.length + 1) * factor;
    for (; text.length > 0; text.start += WORD_BYTES, text.length -= WORD_BYTES, text.readable -= WORD_BYTES) {
        uint64_t word = 0; /* little-endian */
        if (AAM_LIKELY(text.readable >= WORD_BYTES))
            memcpy(&word, text.start, sizeof word);
        else
            memcpy(&word, text.start, (size_t)text.length);
        if (text.length < WORD_BYTES)
            word &= lowest(8 * text.length);
        hash = (hash ^ word) * factor;
        hash ^= hash >> WORD_HALF;
    }
    hash = (hash ^ hash >> WORD_HALF) * UINT64_C(0xFF51AFD7ED558CCD);
    hash = (hash ^ hash >> WORD_HALF) * UINT64_C(0xC4CEB9FE1A85EC53);
    return hash ^ hash >> WORD_HALF;
}

#endif
