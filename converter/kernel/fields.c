/* Where the fields of lines are. */
#include "views.h"

/* Write string views of fields of lines, which are `size` bytes of memory and end at `ends`: of `columns` fields after
   the first `skipped` ones. Fields end at a tab or at the newline. The views of each column are one after the other. */
AAM_ENTRY(line_fields)
(const uint8_t *lines, int64_t size, const int64_t *ends, int64_t count, int64_t skipped, int64_t columns,
 uint8_t *views, int64_t views_room) {
    if (size < 0 || size > UINT32_MAX || count < 0 || skipped < 0 || columns < 1 || columns > INT32_MAX ||
        views_room / columns / VIEW_BYTES < count)
        return AAM_MALFORMED;
    for (int64_t line = 0, at = 0; line < count; line++) {
        int64_t end = ends[line] - 1; /* of the line, without its newline */
        if (end < at || end >= size)
            return AAM_MALFORMED;
        for (int64_t column = -skipped; column < columns; column++) {
            const uint8_t *tab = memchr(lines + at, '\t', (size_t)(end - at));
            int64_t stop = tab == NULL ? end : tab - lines;
            struct aam_field field = {lines + at, stop - at, size - at};
            if (column >= 0)
                write_view(views + VIEW_BYTES * (column * count + line), &field, 0, (uint32_t)at);
            at = stop < end ? stop + 1 : end; /* fields beyond the last one are empty */
        }
        at = end + 1;
    }
    return AAM_OK;
}
