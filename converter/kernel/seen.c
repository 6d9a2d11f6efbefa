/* The users of the lines of inbound files: which types their IDs have the form of, and how many lines they may have.

   There is a counter for each value of some bits of the hash of an ID. It counts the lines of all users that have it, so
   no user has more lines than it says. Threads may share the counters. */
#include "hashes.h"
#include "siphash.h"

enum { DEVICE_BYTES = 36, NUMBER_BYTES = 38, HASH_BYTES = 64, MOST_COUNTER_BITS = 40 };
enum { WAITING = 16 }; /* counters that are on their way into the cache; a power of two */

AAM_INLINE bool is_letter_of_hex(uint8_t byte) { return (uint8_t)((byte | 0x20) - 'a') < 6; }

static int64_t kind_of_device(struct aam_field id) {
    bool has_lower = false, has_upper = false;
    for (int64_t at = 0; at < DEVICE_BYTES; at++) {
        uint8_t byte = id.start[at];
        if (at == 8 || at == 13 || at == 18 || at == 23) {
            if (byte != '-')
                return AAM_ANY_ID;
        } else if (is_letter_of_hex(byte)) {
            has_lower |= byte >= 'a';
            has_upper |= byte < 'a';
        } else if (!is_digit(byte)) {
            return AAM_ANY_ID;
        }
    }
    return has_lower ? AAM_LOWER_DEVICE : has_upper ? AAM_UPPER_DEVICE : 0;
}

/* The type that an ID has the form of: one bit, or none where it may be of two types. */
AAM_INLINE int64_t kind_of(struct aam_field id) {
    if (AAM_UNLIKELY(id.length == DEVICE_BYTES))
        return kind_of_device(id);
    if (AAM_LIKELY(id.length != NUMBER_BYTES && id.length != HASH_BYTES))
        return AAM_ANY_ID;
    for (int64_t at = 0; at < id.length; at++)
        if (!is_digit(id.start[at]) && (id.length == NUMBER_BYTES || !is_letter_of_hex(id.start[at])))
            return AAM_ANY_ID;
    return id.length == NUMBER_BYTES ? AAM_NUMBER_ID : AAM_HASHED_ID;
}

AAM_INLINE void count_line(uint8_t *counter, int64_t most) {
    /* As many threads as fit between `most` and the largest number may come here at the same time. */
    if (__atomic_load_n(counter, __ATOMIC_RELAXED) <= most)
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* How often an ID counts: once for each field after it, and at least once. More than `most` need not be counted. */
static int64_t times_of(struct aam_field id, const uint8_t *newline, const uint8_t *limit, int64_t most) {
    int64_t fields = 0;
    for (const uint8_t *stop = id.start + id.length; stop < newline && fields <= most; fields++)
        stop = field_end(stop + 1, newline, limit);
    return fields > 0 ? fields : 1;
}

static bool is_sound(const uint8_t *text, int64_t size, const struct aam_seen *seen) {
    return size >= 0 && (size == 0 || text[size - 1] == '\n') && seen->bits >= 0 && seen->bits <= MOST_COUNTER_BITS &&
           seen->counter_count == INT64_C(1) << seen->bits && seen->skipped >= 0 && seen->most >= 0 &&
           seen->most < UINT8_MAX && seen->room >= 0;
}

/* See the lines of a text, which ends in a newline; lines without an ID and a tab after it are none of a user, except
   that with `pairs` the ID may end the line. With `keys`, find those of users who may have more lines than `most`, by the
   counters; else count them. */
AAM_ENTRY(see_users)(const uint8_t *text, int64_t size, struct aam_seen *seen) {
    if (!is_sound(text, size, seen))
        return AAM_MALFORMED;
    const uint8_t *end = text + size, *limit = end + AAM_WINDOW;
    uint8_t *waiting[WAITING];
    int64_t users = 0;
    struct aam_field first = {NULL, 0, 0};
    seen->count = seen->lines = seen->kinds = seen->differs = 0;
    for (const uint8_t *line = text, *newline; line < end; line = newline + 1, seen->lines++) {
        newline = memchr(line, '\n', (size_t)(end - line));
        struct aam_field type = id_of(line, newline, limit, 0), id = id_of(line, newline, limit, seen->skipped);
        if (id.length == 0 || (id.start + id.length == newline && seen->pairs == 0))
            continue;
        seen->kinds |= kind_of(id);
        if (first.start == NULL)
            first = type;
        else if (seen->skipped > 0)
            seen->differs |= type.length != first.length || memcmp(type.start, first.start, (size_t)first.length) != 0;
        uint64_t key[2];
        keyed_hash(id.start, id.length, seen->key, key);
        uint8_t *counter = seen->counters + (seen->bits > 0 ? key[0] >> (AAM_WINDOW - seen->bits) : 0);
        if (seen->keys == NULL) {
            __builtin_prefetch(counter, 1);
            int64_t times = seen->pairs != 0 ? times_of(id, newline, limit, seen->most) : 1;
            for (; times > 0; times--) {
                if (users >= WAITING)
                    count_line(waiting[users & (WAITING - 1)], seen->most);
                waiting[users++ & (WAITING - 1)] = counter;
            }
        } else if (*counter > seen->most) {
            if (seen->count == seen->room)
                return AAM_MALFORMED;
            memcpy(seen->keys + 2 * seen->count, key, sizeof key);
            seen->numbers[seen->count++] = seen->lines;
        }
    }
    for (int64_t each = users > WAITING ? users - WAITING : 0; each < users; each++)
        count_line(waiting[each & (WAITING - 1)], seen->most);
    return AAM_OK;
}
