/* What is known of users by their lines: their IDs, their traits, and keyed hashes of what else they have. */
#include "hashes.h"
#include "signals.h"
#include "siphash.h"

enum { CACHED_BITS = 7, CACHED = 1 << CACHED_BITS, KEY_HASH_BYTES = 4 };

/* Hashes of keys: users have few different ones. */
struct cached {
    const uint8_t *start;
    int64_t length;
    uint32_t hash;
};

AAM_INLINE bool keep(struct aam_kept *kept, const uint8_t *start, int64_t length) {
    if (AAM_UNLIKELY(length > kept->room - kept->used))
        return false;
    copy_exactly(kept->bytes + kept->used, start, length);
    kept->used += length;
    return true;
}

/* Keep a trait, after a comma where it is not the first one of a user. */
AAM_INLINE bool keep_trait(struct aam_kept *kept, int64_t before, const uint8_t *start, int64_t length) {
    return (kept->used == before || keep(kept, (const uint8_t *)",", 1)) && keep(kept, start, length);
}

/* Return the lower half of the first word of the hash of a text. */
static uint32_t hash_of_key(const uint8_t *start, int64_t length, const uint64_t *key, struct cached *cache) {
    uint64_t index = (uint64_t)length;
    for (int64_t at = 0; at < length && at < 16; at += 3)
        index = (index ^ start[at]) * UINT64_C(0x9E3779B97F4A7C15);
    struct cached *cached = &cache[index >> (64 - CACHED_BITS)];
    if (AAM_LIKELY(cached->start != NULL && cached->length == length &&
                   memcmp(cached->start, start, (size_t)length) == 0))
        return cached->hash;
    uint64_t made[2];
    keyed_hash(start, length, key, made);
    *cached = (struct cached){start, length, (uint32_t)made[0]};
    return cached->hash;
}

/* Keep the signals of a line, which stand between `start` and `end`; `before` is what was kept before the user. */
static bool keep_signals(struct aam_users *users, const uint8_t *start, const uint8_t *end, const int64_t *before,
                         struct cached *cache) {
    struct aam_kept *added = &users->kept[AAM_OF_ADDED], *removed = &users->kept[AAM_OF_REMOVED];
    int64_t found = split_signals(start, end, users->lines + users->size, (struct aam_item){0}, users->items,
                                  users->items_room);
    bool is_kept = found <= users->items_room;
    for (const struct aam_item *signal = users->items; is_kept && signal < users->items + found; signal++) {
        if (signal->length == 0)
            continue;
        uint64_t class = class_of(signal);
        if (class == ADDED) {
            is_kept = keep_trait(added, before[AAM_OF_ADDED], signal->start + ADDED_BYTES, signal->length - ADDED_BYTES);
        } else if (class == REMOVED) {
            is_kept = keep_trait(removed, before[AAM_OF_REMOVED], signal->start + REMOVED_BYTES,
                                 signal->length - REMOVED_BYTES);
        } else {
            int64_t of_pair = key_bytes(signal);
            uint32_t hash = hash_of_key(signal->start, of_pair > 0 ? of_pair - 1 : signal->length, users->key, cache);
            uint8_t bytes[KEY_HASH_BYTES];
            memcpy(bytes, &hash, sizeof bytes); /* little-endian, as all processors that the library is built for */
            is_kept = keep(&users->kept[AAM_OF_KEYS], bytes, sizeof bytes);
        }
    }
    return is_kept;
}

/* Keep what is known of users, in the order of their lines. */
AAM_ENTRY(user_signals)(struct aam_users *users) {
    struct cached cache[CACHED] = {{0}};
    int64_t user_count = users->firsts_room - 1;
    if (user_count < 0 || users->count < 0 || users->skipped < 0 || users->items_room < 0 || users->firsts[0] != 0)
        return AAM_MALFORMED;
    for (int each = 0; each < AAM_OF_USER; each++) {
        if (users->kept[each].ends_room < user_count || users->kept[each].room < 0)
            return AAM_MALFORMED;
        users->kept[each].used = 0;
    }
    for (int64_t user = 0, line = 0, start = 0; user < user_count; user++) {
        int64_t before[AAM_OF_USER], first = line;
        for (int each = 0; each < AAM_OF_USER; each++)
            before[each] = users->kept[each].used;
        if (users->firsts[user + 1] < line || users->firsts[user + 1] > users->count)
            return AAM_MALFORMED;
        for (; line < users->firsts[user + 1]; start = users->ends[line++]) {
            if (users->ends[line] <= start || users->ends[line] > users->size)
                return AAM_MALFORMED;
            const uint8_t *newline = users->lines + users->ends[line] - 1;
            struct aam_field id = id_of(users->lines + start, newline, users->lines + users->size, users->skipped);
            if (line == first && !keep(&users->kept[AAM_OF_ID], id.start, id.length))
                return AAM_MALFORMED;
            const uint8_t *signals = id.start + id.length + 1;
            if (signals < newline && !keep_signals(users, signals, newline, before, cache))
                return AAM_MALFORMED;
        }
        for (int each = 0; each < AAM_OF_USER; each++)
            users->kept[each].ends[user] = users->kept[each].used;
    }
    return AAM_OK;
}
