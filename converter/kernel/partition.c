/* Lines in groups, by the hashes of their IDs. */
#include "hashes.h"

/* Whether lines end one after the other within `size` bytes; each has at least its newline. */
static bool are_sound(const int64_t *ends, int64_t count, int64_t size) {
    int64_t before = 0;
    bool are_apart = true;
    for (int64_t line = 0; line < count; before = ends[line++])
        are_apart &= ends[line] > before;
    return are_apart && count >= 0 && before <= size;
}

/* Set the hash of the ID of each line, the field after the first `skipped` ones. */
AAM_ENTRY(line_hashes)
(const uint8_t *lines, int64_t size, const int64_t *ends, int64_t count, int64_t skipped, uint64_t *hashes,
 int64_t room) {
    if (room < count || skipped < 0 || !are_sound(ends, count, size))
        return AAM_MALFORMED;
    for (int64_t line = 0, start = 0; line < count; start = ends[line++])
        hashes[line] = hash_of(id_of(lines + start, lines + ends[line] - 1, lines + size, skipped));
    return AAM_OK;
}

enum { MOST_BITS = 16 };

AAM_INLINE int64_t partition_of(uint64_t hash, int64_t shift, int64_t bits) {
    return (int64_t)(hash >> shift & lowest(bits));
}

/* Turn counts of a group, each one entry after it, into what is before it. */
static void accumulate(int64_t *counts, int64_t groups) {
    for (int64_t group = 0; group < groups; group++)
        counts[group + 1] += counts[group];
}

/* Copy lines so that those are together whose hashes have the same `bits` from bit `shift` on, in the order given.

   `order` becomes the index of each copied line, and `edges` how many lines are before each group, and before the end.
   `places` is memory for as many numbers as `edges`; both have one entry more than there are groups. `order` and
   `made_ends` have `room` entries, and `made` has `made_room` bytes. */
AAM_ENTRY(partition_lines)
(const uint8_t *lines, int64_t size, const int64_t *ends, int64_t count, const uint64_t *hashes, int64_t bits,
 int64_t shift, int64_t *edges, int64_t *places, int64_t edges_room, int64_t *order, int64_t *made_ends, int64_t room,
 uint8_t *made, int64_t made_room) {
    if (bits < 0 || bits > MOST_BITS || shift < 0 || shift >= AAM_WINDOW || !are_sound(ends, count, size))
        return AAM_MALFORMED;
    int64_t groups = INT64_C(1) << bits;
    if (edges_room < groups + 1 || room < count || (count > 0 && made_room < ends[count - 1]))
        return AAM_MALFORMED;
    memset(edges, 0, (size_t)(groups + 1) * sizeof *edges);
    memset(places, 0, (size_t)(groups + 1) * sizeof *places);
    for (int64_t line = 0, start = 0; line < count; start = ends[line++]) {
        int64_t group = partition_of(hashes[line], shift, bits);
        edges[group + 1]++;
        places[group + 1] += ends[line] - start;
    }
    accumulate(edges, groups);
    accumulate(places, groups);
    for (int64_t line = 0, start = 0; line < count; start = ends[line++]) {
        int64_t group = partition_of(hashes[line], shift, bits), length = ends[line] - start;
        /* Not a byte more: what follows may be the first line of the next group. */
        copy_exactly(made + places[group], lines + start, length);
        places[group] += length;
        order[edges[group]] = line;
        made_ends[edges[group]++] = places[group];
    }
    memmove(edges + 1, edges, (size_t)groups * sizeof *edges); /* each has become that of the next group */
    edges[0] = 0;
    return AAM_OK;
}
