/* How often keys came before: tables of keys with counts, and what becomes of lines by them.

   A key is two words. The lowest byte of the second one is not part of it: there is its count in a table, which is 0
   where an entry is free. Tables are segments by the leading bits of the first word. In a segment, keys are in the order
   of their first words, each where the bits after these say, or further on where that is taken. So a search ends at the
   first greater key, and a segment is copied to a larger one from the start to the end of both. */
#include "vector.h"

enum { WORDS = 2, MOST_COUNT = UINT8_MAX, MOST_SEGMENT_BITS = 16, PLACE_BITS = 32, KEYS_AHEAD = 12 };
enum { TAIL = 64 };   /* entries after the last place where a key belongs */
enum { FREE_IN = 5 }; /* one entry in so many stays free, so that searches are short */
enum { NO_ROOM = -1 };

AAM_INLINE int64_t segment_of(const uint64_t *key, int64_t bits) {
    return bits > 0 ? (int64_t)(key[0] >> (AAM_WINDOW - bits)) : 0;
}

AAM_INLINE int64_t place_of(const uint64_t *key, int64_t bits, int64_t room) {
    return (int64_t)((key[0] << bits >> PLACE_BITS) * (uint64_t)(room - TAIL) >> PLACE_BITS);
}

AAM_INLINE int64_t count_of(const uint64_t *entry) { return (int64_t)(entry[1] & MOST_COUNT); }

/* Count a key once more; return how often it came before, as far as that is counted, or NO_ROOM. */
AAM_INLINE int64_t count_key(struct aam_segment *segment, const uint64_t *key, int64_t bits) {
    uint64_t *end = segment->entries + WORDS * segment->room;
    uint64_t *entry = segment->entries + WORDS * place_of(key, bits, segment->room);
    uint64_t rest = key[1] & ~(uint64_t)MOST_COUNT;
    while (entry < end && count_of(entry) != 0 && entry[0] < key[0])
        entry += WORDS;
    for (uint64_t *same = entry; same < end && count_of(same) != 0 && same[0] == key[0]; same += WORDS) {
        if ((same[1] ^ rest) > MOST_COUNT)
            continue;
        int64_t before = count_of(same);
        same[1] += before < MOST_COUNT;
        return before;
    }
    uint64_t *taken_end = entry;
    while (taken_end < end && count_of(taken_end) != 0)
        taken_end += WORDS;
    if (taken_end == end || segment->used >= segment->room - segment->room / FREE_IN)
        return NO_ROOM;
    memmove(entry + WORDS, entry, (size_t)(taken_end - entry) * sizeof *entry);
    entry[0] = key[0];
    entry[1] = rest | 1;
    segment->used++;
    return 0;
}

AAM_INLINE void prefetch_key(const struct aam_earlier *table, const uint64_t *keys, int64_t row) {
    if (keys == NULL || row >= table->count)
        return;
    const uint64_t *key = keys + WORDS * row;
    const struct aam_segment *segment = table->segments + segment_of(key, table->bits);
    const uint64_t *entry = segment->entries + WORDS * place_of(key, table->bits, segment->room);
    __builtin_prefetch(entry, 1);
    __builtin_prefetch(entry + AAM_WINDOW / sizeof *entry, 1);
}

static bool are_sound(const struct aam_earlier *table) {
    if (table->bits < 0 || table->bits > MOST_SEGMENT_BITS || table->segment_count != INT64_C(1) << table->bits ||
        table->count < 0 || table->outcomes_room < table->count || table->done < 0 || table->done > table->count ||
        table->most_lines < 0 || table->most_lines >= MOST_COUNT)
        return false;
    for (int64_t each = 0; each < table->segment_count; each++) {
        int64_t room = table->segments[each].room;
        if (room <= TAIL || room > UINT32_MAX)
            return false;
    }
    return true;
}

/* Say of rows what becomes of their lines: one that came before is repeated, and one of a user with the most lines is
   cut. A call that returns AAM_FULL has done the rows before `done`; given a larger segment for that which is `full`,
   the next call goes on. */
AAM_ENTRY(judge_lines)(struct aam_earlier *table) {
    if (!are_sound(table))
        return AAM_MALFORMED;
    for (; table->done < table->count; table->done++) {
        int64_t row = table->done;
        prefetch_key(table, table->lines, row + KEYS_AHEAD);
        prefetch_key(table, table->users, row + KEYS_AHEAD);
        uint8_t outcome = AAM_WRITTEN;
        if (table->lines != NULL && !table->is_counted) {
            const uint64_t *key = table->lines + WORDS * row;
            table->full = segment_of(key, table->bits);
            int64_t before = count_key(table->segments + table->full, key, table->bits);
            if (AAM_UNLIKELY(before == NO_ROOM))
                return AAM_FULL;
            outcome = before > 0 ? AAM_REPEATED : AAM_WRITTEN;
        }
        if (table->users != NULL && outcome == AAM_WRITTEN) {
            const uint64_t *key = table->users + WORDS * row;
            table->full = segment_of(key, table->bits);
            int64_t before = count_key(table->segments + table->full, key, table->bits);
            table->is_counted = before == NO_ROOM;
            if (AAM_UNLIKELY(before == NO_ROOM))
                return AAM_FULL;
            outcome = before >= table->most_lines ? AAM_CUT : AAM_WRITTEN;
            table->over += before == table->most_lines;
        }
        table->outcomes[row] = outcome;
    }
    return AAM_OK;
}

/* Copy the keys of a segment, with their counts, to one without keys. */
AAM_ENTRY(copy_keys)(const struct aam_segment *from, struct aam_segment *to, int64_t bits) {
    if (bits < 0 || bits > MOST_SEGMENT_BITS || to->used != 0 || to->room <= TAIL || to->room > UINT32_MAX ||
        from->room < 0)
        return AAM_MALFORMED;
    int64_t next = 0;
    for (const uint64_t *entry = from->entries; entry < from->entries + WORDS * from->room; entry += WORDS) {
        int64_t place = place_of(entry, bits, to->room);
        place = place > next ? place : next;
        if (place >= to->room)
            return AAM_MALFORMED;
        int64_t is_taken = count_of(entry) != 0;
        to->entries[WORDS * place] = entry[0]; /* of a free one, zeros where it is free as well */
        to->entries[WORDS * place + 1] = entry[1];
        next = is_taken ? place + 1 : next;
        to->used += is_taken;
    }
    return AAM_OK;
}
