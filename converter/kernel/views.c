/* Columns of string views become lines. */
#include "sink.h"

/* Read the string view at an index, empty where it is null. Returns false where it points outside of the buffers. */
AAM_INLINE bool read_view(const struct aam_views *column, int64_t row, struct aam_field *field) {
    const uint8_t *view = column->views + VIEW_BYTES * row;
    uint32_t length, buffer, offset;
    if (column->valid != NULL) {
        int64_t bit = column->first_valid + row;
        if ((column->valid[bit >> 3] >> (bit & 7) & 1) == 0) {
            *field = (struct aam_field){view, 0, 0};
            return true;
        }
    }
    memcpy(&length, view, sizeof length);
    if (length <= INLINE_BYTES) {
        *field = (struct aam_field){view + 4, length, VIEW_BYTES * (column->rows - row) - 4};
        return true;
    }
    memcpy(&buffer, view + 8, sizeof buffer);
    memcpy(&offset, view + 12, sizeof offset);
    if (AAM_UNLIKELY(buffer >= (uint64_t)column->buffer_count))
        return false;
    int64_t readable = column->sizes[buffer] - (int64_t)offset;
    *field = (struct aam_field){column->buffers[buffer] + offset, length, readable};
    return AAM_LIKELY(length <= readable);
}

/* Turn `rows` rows, whose values are in so many columns of string views, into lines, from row `at` of the sink on. */
AAM_ENTRY(view_lines)
(const struct aam_views *columns, int64_t column_count, int64_t rows, const struct aam_form *form,
 struct aam_sink *given) {
    if (rows < 0 || column_count < 1 || !is_sound_sink(given, column_count, 0) || given->views != NULL ||
        given->at < 0 || !is_sound_form(form, column_count, given))
        return AAM_MALFORMED;
    for (int64_t column = 0; column < column_count; column++)
        if (columns[column].rows < rows || columns[column].first_valid < 0 ||
            (columns[column].valid != NULL && columns[column].valid_bytes * 8 - columns[column].first_valid < rows))
            return AAM_MALFORMED;
    struct aam_sink sink = *given; /* which the compiler can keep in registers */
    int32_t status = AAM_OK;
    for (; sink.at < rows; sink.at++) {
        for (int64_t column = 0; column < column_count; column++)
            if (!read_view(&columns[column], sink.at, &sink.fields[column]))
                return AAM_MALFORMED;
        if (!put_row(&sink, form, column_count, (struct origin){0}, sink.made + sink.kept, 0)) {
            status = AAM_FULL;
            break;
        }
    }
    *given = sink;
    return status;
}
