/* The line of one row. */
#ifndef AAM_LINES_H
#define AAM_LINES_H

#include "vector.h"

/* What became of a row. DIRTY: more special bytes are in it than its form has. */
enum made { MADE_LINE, IRREGULAR, NO_ROOM, DIRTY };

struct line {
    uint8_t *end;
    int64_t signals;
    int64_t missing;
    uint64_t changed; /* STEP_BITS for each step: how many IDs it has changed */
    int64_t dropped;  /* values */
    int64_t cleaned;
    int64_t commas;
    uint64_t doubted; /* a bit for each part whose value is a word for a missing one */
};

enum { STEP_BITS = 8, MOST_IDS = 255, HASH_BYTES = 64, UUID_BYTES = 38, DEVICE_BYTES = 36 };

/* What no item of a list of codes holds for sure: all but visible ASCII, double quotes, commas and at signs. Brackets
   may be those of a list in another form. */
AAM_INLINE uint64_t not_in_codes(const uint8_t *start) {
    aam_bytes text = load(start);
    aam_truths outside = (aam_truths)((aam_bytes)(text - 0x21) > 0x7E - 0x21);
    return bits_of(outside | (aam_truths)((text == '"') | (text == ',') | (text == '@') | (text == '[') | (text == '{')));
}

#define write_line AAM_JOIN(aam_write_line, AAM_VARIANT)
#define form_of_id AAM_JOIN(aam_form_of_id, AAM_VARIANT)

enum aam_id_form form_of_id(const uint8_t *start, int64_t length);

/* The same, at once for nearly all IDs. */
AAM_INLINE enum aam_id_form quick_form_of_id(const struct aam_field *id) {
    bool is_other = id->length != UUID_BYTES && id->length != DEVICE_BYTES && id->length != HASH_BYTES;
    return is_other ? AAM_OTHER : form_of_id(id->start, id->length);
}

/* Write the line of a row from `target` on. What is after it up to `limit`, and AAM_SLACK bytes more, may be written
   to as well. Only rows that are regular beyond doubt get one, and those whose values the form says how to change.
   `may_change` says that values are likely to be changed: the line is the same, but is not tried without that first. */
enum made write_line(const struct aam_form *form, const struct aam_field *fields, uint8_t *target, const uint8_t *limit,
                     bool may_change, struct line *line);

#endif
