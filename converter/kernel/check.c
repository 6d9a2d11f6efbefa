/* Which lines of inbound files are plain: they break no rule. All others are judged with more care.

   The grammar of signals is that of `spec/signals.py` (`plain`): no spaces between signals and no empty ones, keys that
   trait rules can name, and traits with a number. A value that may be personal data is not plain, and neither are keys
   and values that may have more characters than those of derived signals. */
#include "personal.h"

enum { MOST_BYTES = 228 }; /* of a key or a value: a character has at least one */
enum { IN_ID = 1 }; /* of `classes`: a byte that may be in an ID of any length */

/* Whether a text may be personal data, with an at sign or without. */
static bool is_doubtful(const uint8_t *start, int64_t length) {
    for (int64_t at = 0; at < length; at += AAM_WINDOW)
        if ((equal(start + at, '@') & lowest(length - at)) != 0)
            return true;
    return may_be_personal(start, length, false);
}

/* Whether an ID may be one of zeros alone, which opted-out devices have. */
static bool may_be_zeros(const struct aam_id_shape *id, const uint8_t *start) {
    return *start == '0' && memcmp(start, "00000000", 8) == 0 && (id->scan == 0 || start[8] == '-');
}

/* The functions that follow return the end of what they read, or NULL where that is not plain. Each stops at the newline
   at the end of the line at the latest. */

static const uint8_t *past_id(const struct aam_id_shape *id, const uint8_t *at) {
    const uint8_t *start = at;
    if (may_be_zeros(id, start))
        return NULL;
    if (id->length > 0) {
        for (int64_t byte = 0; byte < id->length; byte++, at++)
            if ((id->classes[*at] & id->shape[byte]) == 0)
                return NULL;
        return at;
    }
    while ((id->classes[*at] & IN_ID) != 0)
        at++;
    return at == start || (id->scan != 0 && is_doubtful(start, at - start)) ? NULL : at;
}

static const uint8_t *past_digits(const uint8_t *at) {
    while (is_digit(*at))
        at++;
    return at;
}

AAM_INLINE bool is_in_key(uint8_t byte) { return is_alphanumeric(byte) || byte == '_' || byte == '-'; }

/* A key that is none of a trait: those begin with `d_`. */
static const uint8_t *past_key(const uint8_t *start) {
    const uint8_t *at = past_digits(start);
    if (!is_in_key(*at) || *at == '-' || (at == start && at[0] == 'd' && at[1] == '_'))
        return NULL;
    do
        at++;
    while (is_in_key(*at));
    return at - start > MOST_BYTES ? NULL : at;
}

/* A value and the quote after it. */
static const uint8_t *past_quoted(const uint8_t *start) {
    const uint8_t *at = start;
    uint64_t stops;
    while ((stops = equal(at, '"') | ~at_least(at, ' ')) == 0)
        at += AAM_WINDOW;
    at += first_bit(stops);
    return *at != '"' || at == start || at - start > MOST_BYTES || is_doubtful(start, at - start) ? NULL : at + 1;
}

/* A value without quotes. */
static const uint8_t *past_value(const uint8_t *start) {
    const uint8_t *at = start;
    uint64_t stops;
    while ((stops = equal(at, ',') | equal(at, '"') | ~at_least(at, ' ')) == 0)
        at += AAM_WINDOW;
    at += first_bit(stops);
    bool is_value = (*at == ',' || *at == '\n') && at > start && at - start <= MOST_BYTES && *start != ' ' && at[-1] != ' ';
    return is_value && !is_doubtful(start, at - start) ? at : NULL;
}

/* The ID of a trait. */
static const uint8_t *past_trait(const uint8_t *start) {
    const uint8_t *at = past_digits(start);
    return at == start ? NULL : at;
}

/* An integration code, from what follows its digits. */
static const uint8_t *past_code(const uint8_t *at) {
    if (*at != ':')
        return at;
    if (at[1] == '0')
        return at + 2;
    return at[1] == '-' && at[2] == '1' ? at + 3 : NULL;
}

static const uint8_t *past_signal(const struct aam_line_form *form, const uint8_t *at) {
    static const char added[] = "d_sid=", removed[] = "d_unsid=";
    if (*at == '"') {
        const uint8_t *end = past_key(at + 1);
        return end != NULL && end[0] == '"' && end[1] == '=' && end[2] == '"' ? past_quoted(end + 3) : NULL;
    }
    const uint8_t *digits = past_digits(at);
    if (digits > at && (*digits == ',' || *digits == ':' || *digits == '\n'))
        return past_code(digits);
    const uint8_t *end = past_key(at);
    if (end != NULL)
        return *end != '=' ? NULL : end[1] == '"' ? past_quoted(end + 2) : past_value(end + 1);
    if (memcmp(at, added, sizeof added - 1) == 0)
        return past_trait(at + sizeof added - 1);
    if (form->removes != 0 && memcmp(at, removed, sizeof removed - 1) == 0)
        return past_trait(at + sizeof removed - 1);
    return NULL;
}

/* The newline at the end of a line, whose signals are counted. */
static const uint8_t *plain_end(const struct aam_line_form *form, const uint8_t *at, int64_t *signals) {
    for (int64_t field = 1; field <= form->most_ids; field++, at++) {
        const struct aam_id_shape *id = &form->ids[field < form->id_count ? field - 1 : form->id_count - 1];
        at = past_id(id, at);
        if (at == NULL)
            return NULL;
        if (*at == '\n')
            return form->has_signals == 0 && field >= form->least_ids ? at : NULL;
        if (*at != '\t')
            return NULL;
    }
    if (form->has_signals == 0)
        return NULL;
    for (;; at++) {
        at = past_signal(form, at);
        ++*signals;
        if (at == NULL || *at == '\n')
            return at;
        if (*at != ',')
            return NULL;
    }
}

static const uint8_t *find_newline(const uint8_t *at) {
    uint64_t found;
    while ((found = equal(at, '\n')) == 0)
        at += AAM_WINDOW;
    return at + first_bit(found);
}

/* Whether no byte of the form leads beyond the end of a line. */
static bool is_sound_line_form(const struct aam_line_form *form) {
    if (form->id_count < 1 || form->least_ids < 1 || form->most_ids < form->least_ids)
        return false;
    for (const struct aam_id_shape *id = form->ids; id < form->ids + form->id_count; id++)
        if (id->classes['\n'] != 0 || id->length < 0)
            return false;
    return true;
}

/* Find the lines of a text that are not plain. The text ends in a newline. */
AAM_ENTRY(check_lines)(const uint8_t *text, int64_t size, const struct aam_line_form *form, struct aam_doubted *doubted) {
    doubted->count = doubted->lines = doubted->signals = 0;
    if (size < 0 || (size > 0 && text[size - 1] != '\n') || !is_sound_line_form(form))
        return AAM_MALFORMED;
    for (const uint8_t *at = text, *end = text + size; at < end; doubted->lines++) {
        int64_t signals = 0;
        const uint8_t *newline = plain_end(form, at, &signals);
        if (newline == NULL || newline - at >= form->longest) {
            newline = find_newline(at);
            if (doubted->count == doubted->room)
                return AAM_MALFORMED;
            doubted->numbers[doubted->count] = doubted->lines;
            doubted->starts[doubted->count] = at - text;
            doubted->ends[doubted->count++] = newline + 1 - text;
        } else {
            doubted->signals += signals;
        }
        at = newline + 1;
    }
    return AAM_OK;
}
