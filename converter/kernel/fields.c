/* Where the fields of lines are, and lines with other ones. */
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

/* Copy lines to `made`, with texts of columns in place of their first fields after `skipped` ones; `ends` become
   where they end there. All lines have as many fields; none of the texts may be empty, as nulls are. */
AAM_ENTRY(replace_fields)
(const uint8_t *lines, int64_t size, int64_t *ends, int64_t count, int64_t skipped, const struct aam_views *columns,
 int64_t column_count, uint8_t *made, int64_t room) {
    if (size < 0 || count < 0 || skipped < 0 || column_count < 1 || !are_sound_views(columns, column_count, count))
        return AAM_MALFORMED;
    uint8_t *at = made;
    for (int64_t line = 0, start = 0; line < count; line++) {
        const uint8_t *from = lines + start, *end = lines + ends[line], *field = from;
        if (ends[line] <= start || ends[line] > size)
            return AAM_MALFORMED;
        for (int64_t column = -skipped; column < column_count; column++) {
            if (field == end)
                return AAM_MALFORMED;
            const uint8_t *stop = memchr(field, '\t', (size_t)(end - field));
            stop = stop == NULL ? end - 1 : stop;
            struct aam_field text = {field, stop - field, lines + size - field};
            if (column >= 0 && !read_view(&columns[column], line, &text))
                return AAM_MALFORMED;
            if (text.length == 0 || text.length + 1 > made + room - at)
                return AAM_MALFORMED;
            memcpy(at, text.start, (size_t)text.length);
            at += text.length;
            *at++ = *stop;
            field = stop + 1;
        }
        if (end - field > made + room - at)
            return AAM_MALFORMED;
        memcpy(at, field, (size_t)(end - field));
        at += end - field;
        start = ends[line];
        ends[line] = at - made;
    }
    return AAM_OK;
}
