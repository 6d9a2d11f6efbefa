/* Insert lines between others, in place. */
#include "kernel.h"

/* Insert `other_count` lines, other i before line `before[i]`, beginning with the last one.

   `room` and `ends_room` are those of `lines` and `ends`: bytes, and entries. `before` does not decrease. */
AAM_ENTRY(merge_lines)
(uint8_t *lines, int64_t room, int64_t *ends, int64_t ends_room, int64_t count, const uint8_t *others,
 const int64_t *other_ends, const int64_t *before, int64_t other_count) {
    int64_t line = count, end = count > 0 ? ends[count - 1] : 0; /* of the lines that are not yet where they belong */
    if (count + other_count > ends_room)
        return AAM_FULL;
    if (other_count > 0 && end + other_ends[other_count - 1] > room)
        return AAM_FULL;
    for (int64_t other = other_count - 1; other >= 0; other--) {
        if (before[other] < 0 || before[other] > line)
            return AAM_MALFORMED;
        if (before[other] < line) {
            int64_t start = before[other] > 0 ? ends[before[other] - 1] : 0;
            int64_t shift = other_ends[other];
            memmove(lines + start + shift, lines + start, (size_t)(end - start));
            for (int64_t each = line - 1; each >= before[other]; each--)
                ends[each + other + 1] = ends[each] + shift;
            line = before[other];
            end = start;
        }
        int64_t start = other > 0 ? other_ends[other - 1] : 0;
        memcpy(lines + end + start, others + start, (size_t)(other_ends[other] - start));
        ends[line + other] = end + other_ends[other];
    }
    return AAM_OK;
}
