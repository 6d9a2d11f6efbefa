/* The line of one row: compiled once, for all loops that make lines. */
#include "lines.h"
#include "personal.h"
#include "sha256.h"

enum { DELETE = 0x7F, LATIN = 0xC2 };

/* How many bytes the control character has that a text begins with, 0 where it does not: those of ASCII, DEL, and from
   U+0080 to U+009F, which begin like other signs of Latin-1. */
AAM_INLINE int64_t control_bytes(const uint8_t *start, const uint8_t *end) {
    if (*start < ' ' || *start == DELETE)
        return 1;
    return *start == LATIN && end - start > 1 && start[1] < 0xA0 ? 2 : 0;
}

/* Where the special characters of a text begin in a window: control characters, double quotes, and `other`. */
AAM_INLINE uint64_t special_in(const uint8_t *window, uint8_t other) {
    aam_bytes text = load(window);
    aam_truths latin = (aam_truths)((text == LATIN) & (load(window + 1) < 0xA0)); /* from U+0080 to U+009F */
    return bits_of((aam_truths)((text < ' ') | (text == '"') | (text == other) | (text == DELETE)) | latin);
}

/* Whether there are as many special characters in the parts of a line as there should be: those, at signs, and one
   other. */
AAM_INLINE bool has_special(const uint8_t *start, const uint8_t *end, uint8_t other, int64_t wanted) {
    int64_t found = 0;
    for (const uint8_t *at = start; at < end; at += AAM_WINDOW) {
        aam_bytes text = load(at);
        aam_truths special = (aam_truths)((text < ' ') | (text == '"') | (text == '@') | (text == other) |
                                          (text == DELETE) | (text == LATIN));
        found += count_bits(bits_of(special) & lowest(end - at));
    }
    if (AAM_LIKELY(found == wanted))
        return true;
    found = 0;
    for (const uint8_t *at = start; at < end; at += AAM_WINDOW)
        found += count_bits((special_in(at, other) | equal(at, '@')) & lowest(end - at));
    return found == wanted;
}

/* Write a list, with the prefix before each item but the first, which has one already.

   Returns where it ends; `items` becomes how many there are, and `is_right` false where one is empty or malformed. */
AAM_INLINE uint8_t *copy_items(uint8_t *target, struct aam_field list, const struct aam_part *part, bool digits,
                               int64_t *items, bool *is_right) {
    uint8_t copied[AAM_WINDOW + AAM_SHORT];
    uint64_t wrong = 0;
    bool is_empty = true; /* the item under way, so far */
    *items = 1;
    while (list.length > 0) {
        int64_t here = list.length < AAM_WINDOW ? list.length : AAM_WINDOW;
        const uint8_t *text = list.start;
        int64_t readable = list.readable;
        if (AAM_UNLIKELY(readable < (int64_t)sizeof copied)) {
            memcpy(copied, list.start, (size_t)here);
            memset(copied + here, 0, sizeof copied - (size_t)here);
            text = copied, readable = sizeof copied;
        }
        uint64_t separators = equal(text, part->separator) & lowest(here);
        if (AAM_JUDGE)
            wrong |= (digits ? ~within(text, '0', '9') : not_in_codes(text)) & ~separators & lowest(here);
        int64_t start = 0;
        while (separators != 0) {
            int64_t stop = first_bit(separators);
            separators &= separators - 1;
            if (stop == start && is_empty) { /* no room is kept for empty items */
                *is_right = false;
                return target;
            }
            target = copy(target, text + start, stop - start, readable - start);
            *target++ = ',';
            target = copy(target, part->prefix, part->prefix_bytes, part->prefix_bytes + AAM_SLACK);
            ++*items;
            is_empty = true;
            start = stop + 1;
        }
        if (start < here) {
            target = copy(target, text + start, here - start, readable - start);
            is_empty = false;
        }
        list.start += here, list.length -= here, list.readable -= here;
    }
    *is_right = wrong == 0 && !is_empty;
    return target;
}

/* Whether an ID that has been written is one of zeros alone. */
AAM_INLINE bool is_zero(const uint8_t *id, int64_t length) {
    bool zeros = true;
    for (int64_t at = 0; at < length; at++)
        zeros &= id[at] == '0' || id[at] == '-';
    return zeros;
}

AAM_INLINE bool has_shape(const uint8_t *id, int64_t length, const struct aam_id *form) {
    if (length != form->length)
        return false;
    for (int64_t at = 0; at < length; at++)
        if ((id[at] == '-') != (form->shape[at] == '-'))
            return false;
    return true;
}

/* Whether a text that is not empty is one of the words. */
AAM_INLINE bool is_word(const struct aam_words *words, const uint8_t *start, int64_t length) {
    if (AAM_LIKELY((words->starts[*start >> 6] >> (*start & 63) & 1) == 0))
        return false;
    const uint16_t *first = &words->first[length < AAM_LENGTHS ? length : AAM_LENGTHS - 1];
    for (int64_t word = first[0]; word < first[1]; word++)
        if (words->words[word].length == length && memcmp(words->words[word].start, start, (size_t)length) == 0)
            return true;
    return false;
}

AAM_INLINE uint8_t hexadecimal(int digit) { return (uint8_t)(digit < 10 ? '0' + digit : 'a' - 10 + digit); }
AAM_INLINE bool is_hexadecimal(uint8_t byte) { return is_digit(byte) || (uint8_t)((byte | 32) - 'a') < 6; }

/* Whether a text has the form of a hash, which stays one. */
static bool is_hash(const uint8_t *start, int64_t length) {
    bool digits = length == HASH_BYTES;
    for (int64_t at = 0; digits && at < length; at++)
        digits = is_hexadecimal(start[at]);
    return digits;
}

/* Return what an ID is by its form: a device ID with capital letters alone is Apple's. */
enum aam_id_form form_of_id(const uint8_t *start, int64_t length) {
    bool is_right = true, has_lower = false, has_upper = false;
    if (length == UUID_BYTES) {
        for (int64_t at = 0; at < length; at++)
            is_right &= is_digit(start[at]);
        return is_right ? AAM_UUID : AAM_OTHER;
    }
    if (length != DEVICE_BYTES)
        return is_hash(start, length) ? AAM_HASH : AAM_OTHER;
    for (int64_t at = 0; at < length; at++) {
        bool is_hyphen = at == 8 || at == 13 || at == 18 || at == 23;
        is_right &= is_hyphen ? start[at] == '-' : is_hexadecimal(start[at]);
        has_lower |= start[at] >= 'a';
        has_upper |= start[at] >= 'A' && start[at] < 'a';
    }
    return !is_right ? AAM_OTHER : has_upper && !has_lower ? AAM_IDFA : AAM_GAID;
}

/* Whether a text is an address for sure: one at sign, and after it a dot, each with something around it. */
static bool is_address(const uint8_t *start, int64_t length) {
    const uint8_t *end = start + length, *sign = memchr(start, '@', (size_t)length);
    if (sign == NULL || sign == start || end - sign < 4)
        return false;
    const uint8_t *domain = sign + 1;
    return memchr(domain, '@', (size_t)(end - domain)) == NULL && memchr(start, ' ', (size_t)length) == NULL &&
           memchr(domain + 1, '.', (size_t)(end - domain - 2)) != NULL;
}

/* Whether a text is one of many words. */
AAM_INLINE bool is_one_of(const struct aam_words *words, const uint8_t *start, int64_t length) {
    const uint16_t *first = &words->first[length < AAM_LENGTHS ? length : AAM_LENGTHS - 1];
    int64_t low = first[0], high = length > 0 ? first[1] : low;
    while (low < high) {
        const struct aam_constant *word = &words->words[(low + high) / 2];
        int64_t order = length - word->length;
        if (AAM_LIKELY(order == 0))
            order = memcmp(start, word->start, (size_t)length);
        if (order == 0)
            return true;
        *(order < 0 ? &high : &low) = order < 0 ? (low + high) / 2 : (low + high) / 2 + 1;
    }
    return false;
}

/* Whether a text ends in a signed exponent of so many digits, as a rounded number does. */
AAM_INLINE bool has_exponent(const uint8_t *end, int64_t length, int64_t digits) {
    if (length < digits + 3)
        return false;
    uint8_t sign = end[-digits - 1], letter = end[-digits - 2];
    return (sign == '+' || sign == '-') && (letter == 'e' || letter == 'E');
}

/* Whether an ID of visible ASCII without percent signs may be one that no web site sends (spec/implausible.py). */
AAM_INLINE bool may_be_implausible(const struct aam_form *form, const uint8_t *id, int64_t length) {
    const uint8_t *end = id + length;
    if (*id == '=' || *id == '\'' || is_word(&form->no_ids, id, length))
        return true;
    if (AAM_LIKELY((uint8_t)(end[-1] - '0') <= 9)) {
        if (AAM_UNLIKELY(end[-1] == '0')) {
            const uint8_t *at = end - 1;
            while (at > id && *at == '0')
                at--;
            if (*at == '.' || *at == ',') /* 1001.0 */
                return true;
        }
        bool has_sign = length > 3 && ((end[-2] < '0') | (end[-3] < '0') | (end[-4] < '0'));
        if (AAM_UNLIKELY(has_sign) &&
            (has_exponent(end, length, 1) || has_exponent(end, length, 2) || has_exponent(end, length, 3)))
            return true;
    }
    return length > 1 && ((id[1] == '{' && (*id == '{' || *id == '$')) || (end[-1] == '}' && end[-2] == '}'));
}

AAM_INLINE bool is_visible(uint8_t byte) { return byte > ' ' && byte < 0x7F; }

AAM_INLINE bool begins_with(const uint8_t *start, const uint8_t *stop, struct aam_constant text) {
    return text.length != 0 && stop - start >= text.length && memcmp(start, text.start, (size_t)text.length) == 0;
}

AAM_INLINE bool ends_with(const uint8_t *start, const uint8_t *stop, struct aam_constant text) {
    return stop - start >= text.length && begins_with(stop - text.length, stop, text);
}

/* Write an ID to `target` as its steps make it; there is room for it, and for the zeros before it. Returns its length
   then, or 0 where it is irregular: what might be trimmed, say, is. */
static int64_t take_steps(const struct aam_steps *steps, const uint8_t *start, int64_t length, uint8_t *target,
                          struct line *line) {
    const uint8_t *stop = start + length;
    bool is_changed[AAM_CASE] = {false};
    if (!is_visible(start[0]) || !is_visible(stop[-1]))
        return 0;
    if ((is_changed[AAM_CUT_PREFIX] = begins_with(start, stop, steps->cut_prefix)))
        start += steps->cut_prefix.length;
    if ((is_changed[AAM_CUT_SUFFIX] = ends_with(start, stop, steps->cut_suffix)))
        stop -= steps->cut_suffix.length;
    uint8_t *end = target, all = AAM_KEPT;
    for (; start < stop; start++) {
        uint8_t kept = steps->kept[*start];
        all |= kept == 0 ? UINT8_MAX : kept;
        *end = *start;
        end += kept & AAM_KEPT;
    }
    if (all > (AAM_KEPT | AAM_REMOVED) || end == target)
        return 0;
    is_changed[AAM_REMOVE] = (all & AAM_REMOVED) != 0;
    int64_t zeros = 0;
    length = end - target;
    while (steps->strip_zeros && zeros < length - 1 && target[zeros] == '0')
        zeros++;
    length -= zeros;
    int64_t missing = length < steps->pad ? steps->pad - length : 0;
    if (zeros != 0 || missing != 0)
        memmove(target + missing, target + zeros, (size_t)length);
    if (missing != 0)
        memset(target, '0', (size_t)missing);
    is_changed[AAM_STRIP_ZEROS] = zeros != 0, is_changed[AAM_PAD] = missing != 0;
    for (int step = 0; step < AAM_CASE; step++)
        line->changed += (uint64_t)is_changed[step] << STEP_BITS * step;
    return length + missing;
}

/* Put the hash of an ID in its place, in lower-case hexadecimal; there is room for it. One that `is_hash` stays so. */
static void write_hash(uint8_t *id, int64_t length, bool is_hash, struct line *line) {
    uint8_t digest[SHA256_BYTES];
    bool is_changed = !is_hash;
    if (is_hash) {
        for (int64_t at = 0; at < HASH_BYTES; at++) {
            is_changed |= id[at] >= 'A' && id[at] <= 'F';
            id[at] |= 0x20; /* digits have this bit */
        }
    } else {
        sha256(id, length, digest);
        for (int64_t at = 0; at < HASH_BYTES; at++)
            id[at] = hexadecimal(at % 2 == 0 ? digest[at / 2] >> 4 : digest[at / 2] & 15);
    }
    line->changed += (uint64_t)is_changed << STEP_BITS * AAM_HASH_STEP;
}

/* Return where a text is read that has been written as it is. Memory that was written just now is slow to read. */
AAM_INLINE const uint8_t *readable_at(const struct aam_field *text, const uint8_t *written) {
    return AAM_LIKELY(text->readable >= text->length + AAM_SLACK) ? text->start : written;
}

/* Write the IDs of a line, with a tab after each of them. */
AAM_INLINE enum made write_ids(const struct aam_form *form, const struct aam_field *fields, uint8_t **target,
                               const uint8_t *limit, struct line *line) {
    uint8_t *at = *target;
    for (const struct aam_id *id = form->ids; id < form->ids + form->id_count; id++) {
        const struct aam_field *field = &fields[id->column];
        const uint8_t *source = field->start, *bytes = id->bytes;
        int64_t length = field->length;
        if (length == 0 || (id->nulls != AAM_NO_NULLS && is_word(&form->nulls, source, length)))
            return IRREGULAR;
        if (id->hashed != AAM_NOT_HASHED && (source[0] == ' ' || source[length - 1] == ' ')) /* might be trimmed */
            return IRREGULAR;
        bool is_doubted = AAM_JUDGE && id->name.length != 0;
        if (is_doubted && length == id->name.length && memcmp(source, id->name.start, (size_t)length) == 0)
            return IRREGULAR;
        int64_t around = id->prefix.length + id->suffix.length + (id->steps != NULL ? id->steps->pad : 0);
        int64_t of_hash = id->hashed != AAM_NOT_HASHED ? HASH_BYTES : 0;
        if (length + around + of_hash + 1 > limit - at)
            return NO_ROOM;
        uint8_t *start = at + id->prefix.length, changed = 0;
        const uint8_t *scanned = around != 0 ? at : readable_at(field, at);
        if (id->steps != NULL) {
            length = take_steps(id->steps, source, length, start, line);
            if (length == 0)
                return IRREGULAR;
            source = start, scanned = at;
        }
        bool is_plain = true;
        for (int64_t byte = 0; byte < length; byte++) {
            uint8_t given = source[byte], mapped = bytes[given];
            changed |= given ^ mapped;
            is_plain &= mapped != 0;
            start[byte] = mapped;
        }
        const uint8_t *doubted = AAM_UNLIKELY(changed != 0) ? start : source; /* in its case */
        if (AAM_JUDGE && (!is_plain || (is_doubted && may_be_implausible(form, doubted, length))))
            return IRREGULAR;
        if (AAM_UNLIKELY(around != 0)) {
            memcpy(at, id->prefix.start, (size_t)id->prefix.length);
            memcpy(start + length, id->suffix.start, (size_t)id->suffix.length);
            length += id->prefix.length + id->suffix.length;
        }
        if (id->hashed != AAM_NOT_HASHED) {
            bool stays = is_hash(at, length);
            if (id->hashed == AAM_HASHED_ADDRESS && !stays && !is_address(at, length))
                return IRREGULAR;
            write_hash(at, length, stays, line);
            length = HASH_BYTES;
        }
        bool is_scanned = id->scan != AAM_SCAN_NOTHING && length >= LEAST_PERSONAL;
        if (AAM_JUDGE && ((is_scanned && may_be_personal(scanned, length, id->scan == AAM_SCAN_CARDS)) ||
                          (id->not_zero && is_zero(at, length)) || (id->length != 0 && !has_shape(at, length, id))))
            return IRREGULAR;
        if (changed != 0)
            line->changed += (uint64_t)1 << STEP_BITS * AAM_CASE;
        at += length;
        *at++ = '\t';
    }
    *target = at;
    return MADE_LINE;
}

enum { OUT_OF_RANGE = 0x1A }; /* what begins a value that cannot be written, whatever is done with bad ones */

/* Do what the form says with a value that has been written, where it is bad or has commas. `end` is where it ends, and
   becomes where it ends then. A value that is dropped is cleaned as well, to be scanned. */
static enum made change_value(const struct aam_form *form, uint8_t *value, uint8_t **end, const uint8_t *limit,
                              struct line *line, bool *is_dropped) {
    int64_t length = *end - value, bad = 0, quotes = 0, commas = 0, at_signs = 0;
    for (int64_t at = 0; at < length; at += AAM_WINDOW) {
        uint64_t own = lowest(length - at);
        bad += count_bits(special_in(value + at, '"') & own);
        quotes += count_bits(equal(value + at, '"') & own);
        commas += count_bits(equal(value + at, ',') & own);
        at_signs += count_bits(equal(value + at, '@') & own);
    }
    if (at_signs != 0) /* an address, perhaps, which is judged before it is dropped */
        return IRREGULAR;
    if (form->comma_bytes < 0)
        commas = 0;
    if (bad != 0) {
        if (form->on_bad == AAM_REJECT || value[0] == OUT_OF_RANGE)
            return IRREGULAR;
        *is_dropped = form->on_bad == AAM_DROP;
        line->dropped += *is_dropped, line->cleaned += !*is_dropped;
    }
    if (bad == 0 && commas == 0)
        return MADE_LINE;
    line->commas += commas != 0 && !*is_dropped;
    if (AAM_LIKELY(commas == 0 && bad == quotes)) {
        for (int64_t at = 0; at < length; at += AAM_WINDOW)
            for (uint64_t left = equal(value + at, '"') & lowest(length - at); left != 0; left &= left - 1)
                value[at + first_bit(left)] = '\'';
        return MADE_LINE;
    }
    const uint8_t *from = value;
    if (form->comma_bytes > 1) { /* it may grow: what is left is moved after its end */
        int64_t growth = commas * (form->comma_bytes - 1);
        if (growth > limit - *end)
            return length + growth > form->longest_line ? IRREGULAR : NO_ROOM;
        memmove(value + growth, value, (size_t)length);
        from = value + growth;
    }
    uint8_t *at = value;
    bool is_control = false;
    for (const uint8_t *stop = from + length; from < stop; from++) {
        bool was_control = is_control;
        int64_t control = control_bytes(from, stop);
        is_control = control != 0;
        if (is_control) {
            from += control - 1;
            if (!was_control)
                *at++ = ' ';
        } else if (*from == ',' && form->comma_bytes >= 0) {
            for (int64_t byte = 0; byte < form->comma_bytes; byte++)
                *at++ = form->comma[byte];
        } else {
            *at++ = *from == '"' ? '\'' : *from;
        }
    }
    *end = at;
    return MADE_LINE;
}

enum { KEY_END_BYTES = 3 };
static const uint8_t key_end[] = "\"=\""; /* what is between the key and the value of a pair */

/* Write a value, and its closing quote. `is_left` becomes whether anything is left of it. */
AAM_INLINE enum made write_value(const struct aam_form *form, const struct aam_part *part, struct aam_field value,
                                 uint8_t **target, const uint8_t *limit, bool with_changes, struct line *line,
                                 bool *is_left) {
    uint8_t *written = *target, *at = copy(written, value.start, value.length, value.readable);
    bool is_dropped = false;
    if (with_changes) {
        enum made made = change_value(form, written, &at, limit - part->prefix_bytes - 2, line, &is_dropped);
        if (made != MADE_LINE)
            return made;
    }
    bool is_scanned = part->scan != AAM_SCAN_NOTHING && at - written >= LEAST_PERSONAL;
    if (AAM_JUDGE && is_scanned && may_be_personal(written, at - written, part->scan == AAM_SCAN_CARDS))
        return IRREGULAR;
    *is_left = !with_changes || (!is_dropped && at != written);
    *at++ = '"';
    *target = at;
    return MADE_LINE;
}

/* Whether a byte is white space, or may begin a character beyond ASCII that is. */
AAM_INLINE bool may_be_space(uint8_t byte) { return byte <= ' ' || byte == LATIN || (byte >= 0xE1 && byte <= 0xE3); }

/* Write a pair for each value of a list, with a comma after each. `items` becomes how many are written, `given` how
   many there are that are not missing. */
static enum made write_values(const struct aam_form *form, const struct aam_part *part, struct aam_field list,
                              uint8_t **target, const uint8_t *limit, int64_t room, bool with_changes,
                              struct line *line, int64_t *items, int64_t *given) {
    const uint8_t *item = list.start, *stop = list.start + list.length, *line_limit = *target + room;
    uint8_t separator = part->separator;
    if (*item == AAM_ITEM)
        separator = AAM_ITEM, item++;
    else if (separator != AAM_ITEM && (*item == '[' || *item == '{' || may_be_space(*item)))
        return IRREGULAR; /* perhaps a list in another form */
    for (*items = *given = 0;; item++) {
        const uint8_t *end = memchr(item, separator, (size_t)(stop - item));
        end = end == NULL ? stop : end;
        struct aam_field value = {item, end - item, list.readable - (item - list.start)};
        item = end;
        if (value.length != 0 && !is_word(&form->nulls, value.start, value.length)) {
            const uint8_t *last = end - 1;
            while (last > value.start && (*last & 0xC0) == 0x80)
                last--;
            if (may_be_space(*value.start) || may_be_space(*last) ||
                is_word(&form->doubted, value.start, value.length))
                return IRREGULAR;
            if (value.length + 2 * (part->prefix_bytes + 2) > limit - *target)
                return *target > line_limit ? IRREGULAR : NO_ROOM;
            bool is_left;
            uint8_t *at = copy(*target, part->prefix, part->prefix_bytes, part->prefix_bytes + AAM_SLACK);
            enum made made = write_value(form, part, value, &at, limit, with_changes, line, &is_left);
            if (made != MADE_LINE)
                return made;
            ++*given;
            if (is_left) {
                ++*items;
                *at++ = ',';
                *target = at;
            }
        }
        if (end == stop)
            return MADE_LINE;
    }
}

/* Write the line of a row from `target` on. `with_changes`: values are changed where they are bad or have commas; else
   the row is DIRTY then. */
AAM_INLINE enum made write_parts(const struct aam_form *form, const struct aam_field *fields, uint8_t *target,
                                 const uint8_t *limit, bool with_changes, struct line *line) {
    *line = (struct line){0};
    if (AAM_UNLIKELY(form->lead_bytes > limit - target))
        return NO_ROOM;
    uint8_t *at = copy(target, form->lead, form->lead_bytes, form->lead_bytes + AAM_SLACK);
    enum made made = write_ids(form, fields, &at, limit, line);
    if (AAM_UNLIKELY(made != MADE_LINE))
        return made;
    const uint8_t *parts = at;
    int64_t signals = 0, missing = 0, special = 0;
    bool all_right = true, has_values = false;
    for (const struct aam_part *part = form->parts; part < form->parts + form->part_count; part++) {
        struct aam_field value = fields[part->column], key = {0};
        if (AAM_UNLIKELY(part->keys != NULL)) {
            key = fields[part->key_column];
            if (!is_one_of(part->keys, key.start, key.length))
                return IRREGULAR;
        }
        if (part->kind == AAM_CONSTANT) {
            value.length = 0;
        } else if (value.length == 0 ||
                   (part->nulls != AAM_NO_NULLS && is_word(&form->nulls, value.start, value.length))) {
            if (AAM_UNLIKELY(value.length != 0 && part->nulls == AAM_NULLS_IRREGULAR))
                return IRREGULAR;
            missing += part->kind == AAM_PAIR || part->kind == AAM_VALUES;
            continue;
        }
        /* Every second byte of a list may be a separator. A line that would be too long needs no room. */
        int64_t items_room = part->kind == AAM_PAIR ? 1 : value.length / 2 + 1;
        int64_t length = value.length + key.length + KEY_END_BYTES;
        if (AAM_UNLIKELY(length + (items_room + 1) * (part->prefix_bytes + 2) > limit - at)) {
            if (AAM_JUDGE && value.length + (at - target) > form->longest_line)
                return IRREGULAR;
            return NO_ROOM;
        }
        int64_t items = 1;
        if (AAM_UNLIKELY(part->kind == AAM_VALUES)) {
            int64_t given;
            has_values = true;
            made = write_values(form, part, value, &at, limit, form->longest_line - (at - target), with_changes, line,
                                &items, &given);
            if (made != MADE_LINE)
                return made;
            missing += given == 0;
            signals += items, special += items * part->special;
            continue;
        }
        uint8_t *start = at;
        at = copy(at, part->prefix, part->prefix_bytes, part->prefix_bytes + AAM_SLACK);
        if (part->kind == AAM_PAIR) {
            bool is_left;
            if (AAM_UNLIKELY(part->keys != NULL)) {
                at = copy(at, key.start, key.length, key.readable);
                memcpy(at, key_end, KEY_END_BYTES);
                at += KEY_END_BYTES;
            }
            has_values = true;
            if (AAM_UNLIKELY(is_word(&form->doubted, value.start, value.length))) {
                if (part - form->parts >= AAM_PART_COUNT)
                    return IRREGULAR;
                line->doubted |= (uint64_t)1 << (part - form->parts);
            }
            made = write_value(form, part, value, &at, limit, with_changes, line, &is_left);
            if (AAM_UNLIKELY(made != MADE_LINE))
                return made;
            if (AAM_UNLIKELY(!is_left)) {
                at = start;
                continue;
            }
        } else if (part->kind != AAM_CONSTANT) {
            bool is_right;
            /* A loop for each kind: in one, the compiler would choose between their tests window by window. */
            at = part->kind == AAM_TRAITS ? copy_items(at, value, part, true, &items, &is_right)
                                          : copy_items(at, value, part, false, &items, &is_right);
            all_right &= is_right;
        }
        signals += items;
        special += items * part->special;
        *at++ = ','; /* the last one gives way to the newline */
    }
    if (signals == 0 && form->part_count != 0) {
        if (!form->clears || has_values || !all_right || at == limit)
            return IRREGULAR;
        at++; /* the tab stays */
    }
    if (AAM_JUDGE && (!all_right || at - target > form->longest_line))
        return IRREGULAR;
    /* A special byte more than there are around the values is in one of them: IDs and lists are judged already. */
    if (AAM_JUDGE && has_values && AAM_UNLIKELY(!has_special(parts, at, form->bad_byte, special)))
        return DIRTY;
    at[-1] = '\n';
    line->end = at, line->signals = signals, line->missing = missing;
    return MADE_LINE;
}

enum made write_line(const struct aam_form *form, const struct aam_field *fields, uint8_t *target, const uint8_t *limit,
                     bool may_change, struct line *line) {
    enum made made = DIRTY;
    if (AAM_LIKELY(form->comma_bytes < 0 && (!may_change || form->on_bad == AAM_REJECT))) {
        made = write_parts(form, fields, target, limit, false, line);
        if (AAM_LIKELY(made != DIRTY) || form->on_bad == AAM_REJECT)
            return made == DIRTY ? IRREGULAR : made;
    }
    made = write_parts(form, fields, target, limit, true, line);
    return made == DIRTY ? IRREGULAR : made;
}
