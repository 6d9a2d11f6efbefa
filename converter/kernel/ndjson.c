/* NDJSON: lines of one object each. Only objects that are valid beyond doubt are parsed here.

   Most lines have the same keys in the same order. What stands between two values (a comma, a key, a colon, spaces) is a
   joint; joints of lines before are compared with the next line as they are, and parsed only where none is the same. */
#include "hashes.h"
#include "sink.h"
#include "utf8.h"

enum { MOST_JOINTS = 128, MOST_DEPTH = 64, NO_JOINT = -1, KEY_WORDS = MOST_JOINTS / 64, MOST_OTHERS = 1 << 12 };

struct joint {
    const uint8_t *start;
    int64_t length;
    uint64_t mask;  /* of its first AAM_HALF bytes, fewer where it is shorter */
    int64_t next;   /* the joint that last came after it, or NO_JOINT */
    int64_t column; /* that the value after it is for */
    int32_t slot;   /* its field; after the last one, if it is not read */
    int32_t parent; /* the node of the object that the joint is in */
    int32_t node;   /* of the object that is the value; 0: such an object is not read */
    uint64_t key_bit; /* of its key among those of all joints, in this word; 0: it is compared elsewhere */
    uint8_t key_word;
    bool is_exact;
    uint8_t list; /* enum aam_list */
};

/* A key of a line for which no joint is kept. */
struct other_key {
    uint64_t line, hash;
};

struct parser {
    const struct aam_form *form;
    const struct aam_keys *keys;
    struct aam_field *fields;
    uint64_t seen[KEY_WORDS]; /* a bit for each key that the line has */
    uint64_t line;            /* its number, from 1 */
    const uint8_t *readable; /* the end of what may be read of the text */
    uint8_t *spare;          /* scratch memory, for what is not in the text as it is */
    const uint8_t *spare_end;
    bool no_room; /* there is too little of it */
    int64_t first[AAM_MOST_NODES]; /* the joint with which the last object of each node began */
    int64_t joint_count;
    struct joint joints[MOST_JOINTS + 1]; /* the last one holds one after the other, when there are more */
    uint64_t hashes[MOST_JOINTS];         /* of their keys */
    int64_t other_count;                  /* of other keys in this line */
    struct other_key others[MOST_OTHERS]; /* a table of them, by their hashes */
};

/* All that follows returns where it ends, and NULL where the text is not what it should be. No byte after the newline
   of a line is passed: it is in no token, and no space. */

AAM_INLINE const uint8_t *skip_spaces(const uint8_t *at) {
    while (*at == ' ' || *at == '\t' || *at == '\r')
        at++;
    return at;
}

/* Find the first byte of a string that ends it, begins an escape or is a control character. */
AAM_INLINE const uint8_t *plain_end(const uint8_t *at, bool *is_ascii) {
    for (;; at += AAM_HALF) {
        aam_half_bytes text = load_half(at);
        uint64_t stops = half_bits_of((aam_half_truths)((text == '"') | (text == '\\') | (text < ' ')));
        uint64_t high = half_bits_of((aam_half_truths)text < 0);
        int64_t stop = stops != 0 ? first_bit(stops) : AAM_HALF;
        if (AAM_UNLIKELY(high != 0))
            *is_ascii &= (high & lowest(stop)) == 0;
        if (AAM_LIKELY(stops != 0))
            return at + stop;
    }
}

AAM_INLINE int64_t hex_digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Read four hexadecimal digits; -1 where they are not. */
static int64_t code_unit(const uint8_t *at) {
    int64_t unit = 0;
    for (int digit = 0; digit < 4; digit++) {
        int64_t value = hex_digit(at[digit]);
        if (value < 0)
            return -1;
        unit = unit << 4 | value;
    }
    return unit;
}

/* Unescape what follows a backslash; `to` moves after it. At most 4 bytes are written. */
static const uint8_t *unescape(const uint8_t *at, uint8_t **to) {
    static const uint8_t escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (*at != 'u') {
        const uint8_t *found = *at == 0 ? NULL : memchr(escapes, *at, sizeof escapes - 1);
        if (found == NULL)
            return NULL;
        *(*to)++ = meant[found - escapes];
        return at + 1;
    }
    int64_t code = code_unit(at + 1);
    if (code < 0 || (code >= 0xDC00 && code < 0xE000))
        return NULL;
    at += 5;
    if (code >= 0xD800 && code < 0xDC00) {
        if (at[0] != '\\' || at[1] != 'u')
            return NULL;
        int64_t low = code_unit(at + 2);
        if (low < 0xDC00 || low >= 0xE000)
            return NULL;
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
        at += 6;
    }
    uint8_t *out = *to;
    if (code < 0x80) {
        *out++ = (uint8_t)code;
    } else {
        int following = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        *out++ = (uint8_t)(0xFF00 >> (following + 1) | code >> (6 * following));
        while (following-- > 0)
            *out++ = (uint8_t)(0x80 | (code >> (6 * following) & 0x3F));
    }
    *to = out;
    return at;
}

/* Unescape a string into scratch memory; `escape` is its first backslash. */
static const uint8_t *parse_escaped(struct parser *parser, const uint8_t *start, const uint8_t *escape, bool *is_ascii,
                                    struct aam_field *string) {
    uint8_t *to = parser->spare;
    const uint8_t *at = escape;
    for (;;) {
        if (at - start + 2 * AAM_SHORT > parser->spare_end - to) {
            parser->no_room = true;
            return NULL;
        }
        to = copy(to, start, at - start, at - start + AAM_SLACK);
        if (*at == '"')
            break;
        if (*at != '\\' || (start = unescape(at + 1, &to)) == NULL)
            return NULL;
        at = plain_end(start, is_ascii);
    }
    *string = (struct aam_field){parser->spare, to - parser->spare, parser->spare_end - parser->spare};
    parser->spare = to;
    return at;
}

/* Parse what is after the quote of a string. */
AAM_INLINE const uint8_t *parse_string(struct parser *parser, const uint8_t *start, struct aam_field *string) {
    bool is_ascii = true;
    const uint8_t *at = plain_end(start, &is_ascii);
    *string = (struct aam_field){start, at - start, parser->readable - start};
    if (AAM_UNLIKELY(*at != '"') && (at = parse_escaped(parser, start, at, &is_ascii, string)) == NULL)
        return NULL;
    return AAM_LIKELY(is_ascii) || is_utf8(start, at) ? at + 1 : NULL;
}

/* A number, which may begin with zeros. */
AAM_INLINE const uint8_t *number_end(const uint8_t *at) {
    at += *at == '-';
    if (!is_digit(*at))
        return NULL;
    while (is_digit(*at))
        at++;
    if (*at == '.') {
        if (!is_digit(*++at))
            return NULL;
        while (is_digit(*at))
            at++;
    }
    if ((*at | 0x20) == 'e') {
        at++;
        at += *at == '+' || *at == '-';
        if (!is_digit(*at))
            return NULL;
        while (is_digit(*at))
            at++;
    }
    return at;
}

/* Parse a number, true or false, whose text is the value; of null, the value is empty. */
AAM_INLINE const uint8_t *parse_word(struct parser *parser, const uint8_t *at, struct aam_field *word) {
    const uint8_t *end;
    switch (*at) {
    case 't':
        end = memcmp(at, "true", 4) == 0 ? at + 4 : NULL;
        break;
    case 'f':
        end = memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
        break;
    case 'n':
        *word = (struct aam_field){at, 0, parser->readable - at};
        return memcmp(at, "null", 4) == 0 ? at + 4 : NULL;
    default:
        end = number_end(at);
    }
    if (end != NULL)
        *word = (struct aam_field){at, end - at, parser->readable - at};
    return end;
}

AAM_INLINE const uint8_t *parse_scalar(struct parser *parser, const uint8_t *at, struct aam_field *value) {
    return AAM_LIKELY(*at == '"') ? parse_string(parser, at + 1, value) : parse_word(parser, at, value);
}

/* Skip a key, the colon, and the spaces around it. */
static const uint8_t *skip_key(struct parser *parser, const uint8_t *at) {
    uint8_t *unescaped = parser->spare;
    struct aam_field key;
    if (*at != '"' || (at = parse_string(parser, at + 1, &key)) == NULL)
        return NULL;
    parser->spare = unescaped;
    at = skip_spaces(at);
    return *at == ':' ? skip_spaces(at + 1) : NULL;
}

/* Skip a value of any kind. */
static const uint8_t *skip_value(struct parser *parser, const uint8_t *at) {
    uint64_t objects = 0; /* a bit for each that is open: whether it is an object; the innermost one lowest */
    int depth = 0;
    do {
        bool is_closed = false;
        if (*at == '[' || *at == '{') {
            if (depth++ == MOST_DEPTH)
                return NULL;
            objects = objects << 1 | (*at == '{');
            at = skip_spaces(at + 1);
            is_closed = *at == (objects & 1 ? '}' : ']');
            if (!is_closed && (objects & 1) != 0 && (at = skip_key(parser, at)) == NULL)
                return NULL;
            if (!is_closed)
                continue;
        } else {
            uint8_t *unescaped = parser->spare;
            struct aam_field scalar;
            if ((at = parse_scalar(parser, at, &scalar)) == NULL)
                return NULL;
            parser->spare = unescaped;
            at = skip_spaces(at);
        }
        while (depth > 0) { /* after a value */
            if (*at == ',') {
                at = skip_spaces(at + 1);
                if ((objects & 1) != 0 && (at = skip_key(parser, at)) == NULL)
                    return NULL;
                break;
            }
            if (*at != (objects & 1 ? '}' : ']'))
                return NULL;
            objects >>= 1;
            at = --depth > 0 ? skip_spaces(at + 1) : at + 1;
        }
    } while (depth > 0);
    return at;
}

/* Parse a list of scalars: to the text that Polars gives of it, `["1", "x", null]`, or, where there is a separator, to
   its items with the separator between them. Not parsed are escapes, missing items, and those that would not be the same
   then. */
static const uint8_t *parse_list(struct parser *parser, const uint8_t *at, uint8_t separator, struct aam_field *list) {
    const uint8_t *unescaped = parser->spare;
    uint8_t *to = parser->spare;
    at = skip_spaces(at + 1);
    for (bool is_first = true;; is_first = false) {
        if (parser->spare_end - to < 2 * AAM_SHORT) {
            parser->no_room = true;
            return NULL;
        }
        if (separator == 0)
            *to++ = is_first ? '[' : ',';
        if (is_first && *at == ']')
            break;
        if (!is_first)
            *to++ = separator == 0 ? ' ' : separator;
        struct aam_field item;
        const uint8_t *start = at;
        if ((at = parse_scalar(parser, at, &item)) == NULL || parser->spare != unescaped)
            return NULL;
        bool is_quoted = separator == 0 && (*start == '"' || *start == '-' || is_digit(*start));
        if (*start == 'n' && separator != 0)
            return NULL;
        if (*start == 'n')
            item.length = 4;
        for (int64_t done = 0; done < item.length; done += AAM_WINDOW)
            if ((not_in_codes(item.start + done) & lowest(item.length - done)) != 0)
                return NULL;
        if (parser->spare_end - to < item.length + 2 * AAM_SHORT) {
            parser->no_room = true;
            return NULL;
        }
        if (is_quoted)
            *to++ = '"';
        to = copy(to, item.start, item.length, item.length + AAM_SLACK);
        if (is_quoted)
            *to++ = '"';
        at = skip_spaces(at);
        if (*at == ']')
            break;
        if (*at != ',')
            return NULL;
        at = skip_spaces(at + 1);
    }
    if (separator == 0)
        *to++ = ']';
    *list = (struct aam_field){parser->spare, to - parser->spare, parser->spare_end - parser->spare};
    parser->spare = to;
    return at + 1;
}

/* Parse a list of scalars to a text with AAM_ITEM before each of them. Not parsed are escapes. */
static const uint8_t *parse_values(struct parser *parser, const uint8_t *at, struct aam_field *list) {
    const uint8_t *unescaped = parser->spare;
    uint8_t *to = parser->spare;
    at = skip_spaces(at + 1);
    while (*at != ']') {
        struct aam_field item;
        bool is_missing = *at == 'n';
        if ((at = parse_scalar(parser, at, &item)) == NULL || parser->spare != unescaped)
            return NULL;
        if (parser->spare_end - to < item.length + 2 * AAM_SHORT) {
            parser->no_room = true;
            return NULL;
        }
        if (!is_missing) {
            *to++ = AAM_ITEM;
            to = copy(to, item.start, item.length, item.length + AAM_SLACK);
        }
        at = skip_spaces(at);
        if (*at == ']')
            break;
        if (*at != ',')
            return NULL;
        at = skip_spaces(at + 1);
        if (*at == ']')
            return NULL;
    }
    *list = (struct aam_field){parser->spare, to - parser->spare, parser->spare_end - parser->spare};
    parser->spare = to;
    return at + 1;
}

AAM_INLINE bool is_joint(const struct joint *joint, const uint8_t *at, const uint8_t *end) {
    uint64_t same = half_bits_of((aam_half_truths)(load_half(at) == load_half(joint->start)));
    return (~same & joint->mask) == 0 &&
           (AAM_LIKELY(joint->length <= AAM_HALF) ||
            (joint->length <= end - at && memcmp(at, joint->start, (size_t)joint->length) == 0));
}

/* Set what a joint says of its key. */
static void describe(const struct parser *parser, const struct aam_field *key, struct joint *joint) {
    for (const struct aam_key *each = parser->keys->keys; each < parser->keys->keys + parser->keys->count; each++) {
        if (each->parent != joint->parent || each->length != key->length ||
            memcmp(each->start, key->start, (size_t)key->length) != 0)
            continue;
        if (each->node != 0) {
            joint->node = each->node;
            continue;
        }
        joint->slot = each->slot;
        joint->column = each->column;
        joint->is_exact = each->is_exact;
        joint->list = each->list;
    }
}

/* Whether the line has had a key before for which no joint is kept, or so many that this is not known. */
static bool is_repeated(struct parser *parser, uint64_t hash) {
    struct other_key *other;
    for (uint64_t at = hash;; at++) {
        other = &parser->others[at % MOST_OTHERS];
        if (other->line != parser->line)
            break;
        if (other->hash == hash)
            return true;
    }
    *other = (struct other_key){parser->line, hash};
    return ++parser->other_count > MOST_OTHERS / 2;
}

/* Set the bit of the key of a joint, the same for all joints with the key. Of keys with equal hashes the lines are
   judged elsewhere. Return whether it is certain that a joint that is not kept does not repeat a key. */
static bool set_key_bit(struct parser *parser, const struct aam_field *key, int64_t added, struct joint *joint) {
    uint64_t hash = hash_of(*key) ^ (uint64_t)joint->parent;
    int64_t same = 0;
    while (same < added && parser->hashes[same] != hash)
        same++;
    if (same == MOST_JOINTS)
        return !is_repeated(parser, hash);
    parser->hashes[same] = hash;
    joint->key_bit = (uint64_t)1 << same % 64;
    joint->key_word = (uint8_t)(same / 64);
    return true;
}

/* Find the joint that stands here, which is not the expected one; parse it where it is not known. */
static int64_t find_joint(struct parser *parser, const uint8_t *start, bool is_first, int32_t parent) {
    const uint8_t *unescaped = parser->spare, *at = skip_spaces(start);
    if (*at != (is_first ? '{' : ','))
        return NO_JOINT;
    for (int64_t joint = 0; joint < parser->joint_count; joint++)
        if (parser->joints[joint].parent == parent && is_joint(&parser->joints[joint], start, parser->readable))
            return joint;
    struct aam_field key;
    at = skip_spaces(at + 1);
    if (*at != '"' || (at = parse_string(parser, at + 1, &key)) == NULL || parser->spare != unescaped)
        return NO_JOINT;
    at = skip_spaces(at);
    if (*at != ':')
        return NO_JOINT;
    at = skip_spaces(at + 1);
    int64_t added = parser->joint_count;
    uint64_t mask = lowest(at - start < AAM_HALF ? at - start : AAM_HALF);
    parser->joint_count += added < MOST_JOINTS;
    struct joint *joint = &parser->joints[added];
    *joint = (struct joint){.start = start, .length = at - start, .mask = mask, .next = NO_JOINT, .parent = parent,
                            .slot = (int32_t)parser->keys->slots};
    describe(parser, &key, joint);
    return set_key_bit(parser, &key, added, joint) ? added : NO_JOINT;
}

/* Return what separates the items of a list in a column; 0 where it has none. */
static uint8_t separator_of(const struct aam_form *form, int64_t column) {
    uint8_t separator = 0;
    for (int64_t number = 0; form != NULL && number < form->part_count; number++) {
        const struct aam_part *part = &form->parts[number];
        if (part->column == column && (part->kind == AAM_TRAITS || part->kind == AAM_CODES))
            separator = part->separator;
    }
    return separator;
}

static const uint8_t *parse_inner(struct parser *parser, const uint8_t *at, int32_t node);

AAM_INLINE bool is_whole_number(const uint8_t *start, const uint8_t *end) {
    for (start += *start == '-'; start < end && is_digit(*start); start++)
        ;
    return start == end;
}

/* Parse the value that is after a joint: into its field, or those of the keys inside it. */
AAM_INLINE const uint8_t *parse_value(struct parser *parser, const uint8_t *at, const struct joint *joint) {
    struct aam_field *field = &parser->fields[joint->slot];
    bool is_used = joint->slot < parser->keys->slots;
    if (AAM_UNLIKELY(joint->node != 0)) {
        if (*at == '[')
            return NULL;
        if (*at == '{')
            return is_used ? NULL : parse_inner(parser, at, joint->node);
    }
    uint8_t *unescaped = parser->spare;
    if (AAM_LIKELY(*at == '"')) {
        at = parse_string(parser, at + 1, field);
    } else if (AAM_UNLIKELY(*at == '[' || *at == '{')) {
        if (!is_used)
            at = skip_value(parser, at);
        else if (*at == '[' && joint->list == AAM_LIST_VALUES)
            at = parse_values(parser, at, field);
        else if (*at == '[' && joint->list == AAM_LIST_CODES)
            at = parse_list(parser, at, separator_of(parser->form, joint->column), field);
        else
            return NULL;
    } else {
        const uint8_t *start = at;
        at = parse_word(parser, at, field);
        if (AAM_UNLIKELY(joint->is_exact) && at != NULL && *start != 'n' && !is_whole_number(start, at))
            return NULL;
    }
    if (!is_used)
        parser->spare = unescaped;
    return at;
}

/* Parse the object of a node into the fields of its keys, and skip the spaces after it. */
AAM_INLINE const uint8_t *parse_members(struct parser *parser, const uint8_t *at, int32_t node) {
    int64_t *expected = &parser->first[node];
    for (bool is_first = true;; is_first = false) {
        int64_t number = *expected;
        if (number == NO_JOINT || AAM_UNLIKELY(!is_joint(&parser->joints[number], at, parser->readable))) {
            const uint8_t *end = skip_spaces(at);
            if (is_first && *end++ != '{')
                return NULL;
            end = skip_spaces(end);
            if (*end == '}')
                return skip_spaces(end + 1);
            number = find_joint(parser, at, is_first, node);
            if (number == NO_JOINT)
                return NULL;
            if (number < MOST_JOINTS) /* the place after them may hold another one by the next time */
                *expected = number;
        }
        struct joint *joint = &parser->joints[number];
        uint64_t *seen = &parser->seen[joint->key_word];
        if (AAM_UNLIKELY((*seen & joint->key_bit) != 0)) /* a key that is there twice */
            return NULL;
        *seen |= joint->key_bit;
        at += joint->length;
        if (AAM_UNLIKELY(*at <= ' ')) /* more of them than in the line that the joint is from */
            at = skip_spaces(at);
        if (AAM_UNLIKELY((at = parse_value(parser, at, joint)) == NULL))
            return NULL;
        expected = &joint->next;
        if (AAM_UNLIKELY(number == MOST_JOINTS)) /* by now it may be one of another object */
            *expected = NO_JOINT;
    }
}

static const uint8_t *parse_inner(struct parser *parser, const uint8_t *at, int32_t node) {
    return parse_members(parser, at, node);
}

/* Parse the object of a line into the fields of its columns, and skip the spaces after it. */
AAM_INLINE const uint8_t *parse_object(struct parser *parser, const uint8_t *at) {
    const struct aam_keys *keys = parser->keys;
    for (int64_t slot = 0; slot < keys->slots; slot++)
        parser->fields[slot] = (struct aam_field){0};
    for (int word = 0; word < KEY_WORDS; word++)
        parser->seen[word] = 0;
    parser->line++;
    parser->other_count = 0;
    at = parse_members(parser, at, 0);
    if (AAM_UNLIKELY(keys->slots > keys->columns))
        for (int64_t column = 0; column < keys->columns; column++)
            if (keys->fallbacks[column] >= 0 && parser->fields[column].start == NULL)
                parser->fields[column] = parser->fields[keys->fallbacks[column]];
    return at;
}

/* Whether the keys refer to fields, columns and nodes that are there. */
static bool are_sound(const struct aam_keys *keys) {
    if (keys->columns < 0 || keys->slots < keys->columns || keys->slots > INT32_MAX || keys->nodes < 1 ||
        keys->nodes > AAM_MOST_NODES)
        return false;
    for (const struct aam_key *key = keys->keys; key < keys->keys + keys->count; key++)
        if (key->parent < 0 || key->parent >= keys->nodes || key->node < 0 || key->node >= keys->nodes ||
            (key->node != 0 && key->node <= key->parent) || key->slot < 0 ||
            (key->node == 0 && key->slot >= keys->slots) || key->length < 0)
            return false;
    for (int64_t column = 0; column < keys->columns; column++)
        if (keys->fallbacks[column] >= keys->slots)
            return false;
    return true;
}

/* The rule of a line that is not parsed. One that does not begin and end like an object is none, whatever is inside. */
static enum aam_rule rule_of(const uint8_t *line, const uint8_t *end) {
    const uint8_t *start = skip_spaces(line), *stop = end;
    while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r'))
        stop--;
    if (*start == '{' && stop[-1] == '}')
        return AAM_UNCERTAIN;
    return is_utf8(line, end) ? AAM_NOT_JSON : AAM_NOT_UTF8;
}

/* Parse texts of lines. What follows the last newline of the last text is the start of a line, and is not parsed; other
   texts end with a newline. What may be an object, but is not parsed beyond doubt, is malformed by the rule
   AAM_UNCERTAIN, for the caller to judge. */
AAM_ENTRY(objects)
(struct aam_text *texts, int64_t text_count, const struct aam_keys *keys, const struct aam_form *form,
 struct aam_sink *given) {
    int64_t columns = keys->columns;
    if (!are_sound(keys) || !is_sound_sink(given, keys->slots, text_count) ||
        (form != NULL && !is_sound_form(form, columns, given)))
        return AAM_MALFORMED;
    struct aam_sink sink = *given;
    if (sink.text < 0 || sink.at < 0)
        return AAM_MALFORMED;
    struct parser parser = {.form = form, .keys = keys, .fields = sink.fields,
                            .spare_end = scratch_at(&sink, sink.scratch_room)};
    for (int node = 0; node < AAM_MOST_NODES; node++)
        parser.first[node] = NO_JOINT;
    int64_t consumed = 0;
    for (; sink.text < text_count; sink.text++, sink.at = 0) {
        struct aam_text *text = &texts[sink.text];
        if (text->size < 0 || text->size > INT32_MAX || text->room < text->size + AAM_SLACK)
            return AAM_MALFORMED;
        const uint8_t *start = text->start, *end = start + text->size;
        while (end > start && end[-1] != '\n')
            end--;
        if (end < start + text->size && sink.text + 1 < text_count)
            return AAM_MALFORMED;
        consumed = end - start;
        struct origin origin = {start, (uint32_t)sink.text, (uint32_t)text_count};
        parser.readable = start + text->room;
        while (sink.at < consumed) {
            const uint8_t *line = start + sink.at;
            bool has_room = true;
            parser.spare = scratch_at(&sink, sink.scratch_bytes);
            parser.no_room = false;
            const uint8_t *at = line + (*line == '\r');
            if (AAM_UNLIKELY(*at == '\n')) {
                sink.blank++;
            } else if (AAM_LIKELY((at = parse_object(&parser, line)) != NULL && *at == '\n')) {
                has_room = put_row(&sink, form, columns, origin, sink.newlines, parser.spare - sink.scratch);
            } else if (parser.no_room) {
                has_room = is_full(&sink, AAM_ROOM_SCRATCH);
            } else {
                at = memchr(line, '\n', (size_t)(end - line));
                has_room = put_malformed(&sink, origin, sink.newlines, line, at - line, rule_of(line, at));
            }
            if (!has_room) {
                *given = sink;
                return AAM_FULL;
            }
            sink.newlines++;
            text->newlines++;
            sink.at = at + 1 - start;
        }
    }
    sink.at = consumed;
    *given = sink;
    return AAM_OK;
}
