/* Rows of delimited text that are not what they seem: how far those go that are broken, and which can be read in two
   ways. */
#ifndef AAM_BROKEN_H
#define AAM_BROKEN_H

#include "vector.h"

/* The bytes of a dialect. Those of the plain one are constants, for which the loop is compiled by itself. */
struct grammar {
    uint8_t separator;
    uint8_t quote;
    bool has_quote;
    bool has_escape;
    bool skips_spaces;
    uint8_t comment;         /* 0 where there is none */
    const uint8_t *meanings; /* see `aam_layout` */
};

/* What quotes that are text tell of a row: whether one may open what a later one closes, and whether there is such. */
enum reading_of_quotes { ONE_READING, MAY_BE_OPEN, TWO_READINGS };

/* How many lines and bytes a broken row may go on. */
enum { MOST_BROKEN_LINES = 100, MOST_BROKEN_BYTES = 1 << 16 };

static inline int64_t newlines_in(const uint8_t *start, const uint8_t *stop) {
    int64_t newlines = 0;
    for (; start < stop && (start = memchr(start, '\n', (size_t)(stop - start))) != NULL; start++)
        newlines++;
    return newlines;
}

static inline const uint8_t *limit_of(const uint8_t *start, const uint8_t *end, int64_t longest) {
    int64_t most = longest < MOST_BROKEN_BYTES ? longest : MOST_BROKEN_BYTES;
    return end - start < most ? end : start + most;
}

/* Whether a field ends before a byte; `CUT_OFF` where that depends on what follows the text that there is. */
enum end_of_field { IN_FIELD, FIELD_END, CUT_OFF };

/* Return whether a field ends before `at`: a separator follows, or CRs and an LF. */
static inline enum end_of_field end_of_field(const struct grammar grammar, const uint8_t *at, const uint8_t *limit) {
    while (grammar.skips_spaces && at < limit && *at == ' ')
        at++;
    if (at < limit && *at == grammar.separator)
        return FIELD_END;
    while (at < limit && *at == '\r')
        at++;
    return at == limit ? CUT_OFF : *at == '\n' ? FIELD_END : IN_FIELD;
}

/* Return the newline at the end of a row that is not whole, as far as its quotes show it: where a quote is text that no
   end of a field follows, the row ends after the quote that closes its last field. Returns NULL where only its first
   line belongs to it: no such quote comes, or another field begins with one before. Returns `end` where that depends on
   more text. */
static const uint8_t *end_of_broken(const struct grammar grammar, const uint8_t *start, const uint8_t *end,
                                    bool is_ended, int64_t longest) {
    const uint8_t *limit = limit_of(start, end, longest);
    int64_t lines = 0;
    const bool may_go_on = limit == end && !is_ended;
    bool is_open = false, begins = true; /* whether a field does */
    for (const uint8_t *at = start; at < limit; at++) {
        if (grammar.has_escape && *at == '\\' && (is_open || !grammar.has_quote)) {
            at++;
            begins = false;
        } else if (grammar.has_quote && *at == grammar.quote) {
            enum end_of_field after = is_open ? end_of_field(grammar, at + 1, limit) : IN_FIELD;
            if (!is_open) {
                is_open = begins;
            } else if (after == CUT_OFF && may_go_on) {
                return end;
            } else if (after == FIELD_END) {
                is_open = false;
            } else if (at + 1 < limit && at[1] == grammar.quote) {
                if (begins && end_of_field(grammar, at + 2, limit) == FIELD_END)
                    return NULL;
                at++;
            } else if (at + 1 < limit && begins) {
                return NULL;
            }
            begins = false;
        } else if (*at == '\n') {
            if (!is_open)
                return at;
            if (++lines > MOST_BROKEN_LINES)
                return NULL;
            begins = true;
        } else {
            begins = *at == grammar.separator || (begins && grammar.skips_spaces && *at == ' ');
        }
    }
    return may_go_on ? end : NULL;
}

/* Return the newline at the end of a row of CR LF text that `next` LFs alone are inside: that of the next CR LF.
   Returns NULL where none is near, so that the LF ends the row, or where the row is blank; `end` as above. */
static inline const uint8_t *end_of_torn(const uint8_t *start, const uint8_t *next, const uint8_t *end, bool is_ended,
                                         int64_t longest) {
    if (next - start == 1)
        return NULL;
    const uint8_t *limit = limit_of(start, end, longest), *at = next;
    for (int64_t lines = 0; lines < MOST_BROKEN_LINES && at < limit; lines++, at++) {
        at = memchr(at, '\n', (size_t)(limit - at));
        if (at == NULL)
            break;
        if (at[-1] == '\r')
            return at;
        if (lines + 1 == MOST_BROKEN_LINES)
            return NULL;
    }
    return limit == end && !is_ended ? end : NULL;
}

/* Note a quote that is text, the last one of an odd number in an unquoted field from `start` to `stop`.

   If it ends its field, and an earlier one of the row may have opened what it closes, the row can be read in two ways:
   the separators between them may be text. The earlier one is followed by text, or preceded by a backslash that may
   escape it. Returns what is known of the row then. */
static enum reading_of_quotes note_stray(const struct grammar grammar, const uint8_t *row, const uint8_t *start,
                                         const uint8_t *quote, const uint8_t *stop, enum reading_of_quotes known) {
    if (*stop == '\n')
        while (stop > quote + 1 && stop[-1] == '\r')
            stop--;
    if (quote + 1 < stop)
        return known == ONE_READING && quote[1] != ' ' ? MAY_BE_OPEN : known;
    if (quote == start || quote[-1] == ' ')
        return known;
    if (known == MAY_BE_OPEN)
        return TWO_READINGS;
    if (!grammar.has_escape)
        for (const uint8_t *at = row; at + 1 < start; at++)
            if (*at == '\\' && at[1] == grammar.quote)
                return TWO_READINGS;
    return known;
}

#endif
