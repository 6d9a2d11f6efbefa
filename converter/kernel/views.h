/* Columns of string views, as they are read. */
#ifndef AAM_VIEWS_H
#define AAM_VIEWS_H

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

/* Whether columns have so many rows. */
AAM_INLINE bool are_sound_views(const struct aam_views *columns, int64_t count, int64_t rows) {
    for (const struct aam_views *column = columns; column < columns + count; column++)
        if (column->rows < rows || column->first_valid < 0 ||
            (column->valid != NULL && column->valid_bytes * 8 - column->first_valid < rows))
            return false;
    return true;
}

#endif
