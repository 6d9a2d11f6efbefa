/* Where the rows of all text formats go.

   A parser works on a copy of the sink, so that the compiler can keep its counts in registers. It goes on at
   `sink->text` and `sink->at`, puts the values of a row into `sink->fields`, one for each column, and calls `put_row`,
   or `put_malformed`. Where one of these returns false, there is no room, and nothing has changed: the parser sets
   `at` and `newlines` to those of the row, copies the sink back, and returns AAM_FULL.

   A value that does not stand in the text as it is goes to `sink->scratch`, after `sink->scratch_bytes` and those of
   the row so far. */
#ifndef AAM_SINK_H
#define AAM_SINK_H

#include "lines.h"

enum { VIEW_BYTES = 16, INLINE_BYTES = 12 };

/* The text that rows come from: where it starts, its number, and that of the scratch memory among the buffers. */
struct origin {
    const uint8_t *start;
    uint32_t number;
    uint32_t scratch;
};

/* A place in scratch memory, of which there may be none: an offset to NULL has no meaning, not even 0. */
AAM_INLINE uint8_t *scratch_at(const struct aam_sink *sink, int64_t offset) {
    return sink->scratch == NULL ? NULL : sink->scratch + offset;
}

AAM_INLINE bool is_full(struct aam_sink *sink, enum aam_room room) {
    sink->full = room;
    return false;
}

/* Whether a sink has all that its entry needs, for so many columns and texts. */
AAM_INLINE bool is_sound_sink(const struct aam_sink *sink, int64_t columns, int64_t texts) {
    return columns >= 0 && columns < sink->fields_room && texts >= 0 && texts < INT32_MAX &&
           sink->scratch_room <= INT32_MAX && sink->scratch_bytes <= sink->scratch_room &&
           sink->lines_bytes <= sink->lines_room && sink->made <= sink->ends_room && sink->kept <= sink->views_room &&
           sink->malformed_rows <= sink->malformed_room;
}

/* Whether the columns that a form of all lines names are there. */
static bool is_sound_alone(const struct aam_form *form, int64_t columns) {
    if (form->id_count < 1 || form->id_count > MOST_IDS || form->comma_bytes > AAM_MOST_COMMA)
        return false;
    for (const struct aam_id *id = form->ids; id < form->ids + form->id_count; id++)
        if (id->column < 0 || id->column >= columns)
            return false;
    for (const struct aam_part *part = form->parts; part < form->parts + form->part_count; part++)
        if ((part->kind != AAM_CONSTANT && (part->column < 0 || part->column >= columns)) ||
            (part->keys != NULL && (part->kind != AAM_PAIR || part->key_column < 0 || part->key_column >= columns)))
            return false;
    return true;
}

/* The same of any form, with a sink for its lines. */
AAM_INLINE bool is_sound_form(const struct aam_form *form, int64_t columns, const struct aam_sink *sink) {
    for (int id = 0; form->of_ids != NULL && id < AAM_ID_FORMS; id++)
        if (form->of_ids[id] != NULL && !is_sound_alone(form->of_ids[id], columns))
            return false;
    return is_sound_alone(form, columns) && sink->lines_room >= AAM_SLACK;
}

/* Write the string view of a value that is in a buffer at an offset. The numbers of views are little-endian. */
AAM_INLINE void write_view(uint8_t *view, const struct aam_field *field, uint32_t buffer, uint32_t offset) {
    static const uint8_t own[2 * INLINE_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    uint8_t padded[INLINE_BYTES] = {0};
    const uint8_t *start = field->start;
    uint32_t length = (uint32_t)field->length;
    if (AAM_UNLIKELY(field->readable < INLINE_BYTES)) {
        for (int64_t at = 0; at < field->readable; at++)
            padded[at] = start[at];
        start = padded;
    }
    memcpy(view, &length, 4);
    if (length > INLINE_BYTES) {
        memcpy(view + 4, start, 4);
        memcpy(view + 8, &buffer, 4);
        memcpy(view + 12, &offset, 4);
        return;
    }
    uint64_t first, first_own;
    uint32_t last, last_own;
    memcpy(&first, start, 8), memcpy(&first_own, own + INLINE_BYTES - length, 8);
    memcpy(&last, start + 8, 4), memcpy(&last_own, own + INLINE_BYTES - length + 8, 4);
    first &= first_own, last &= last_own;
    memcpy(view + 4, &first, 8);
    memcpy(view + 12, &last, 4);
}

/* Keep the row without a line. */
AAM_INLINE bool keep_row(struct aam_sink *sink, int64_t columns, struct origin origin, int64_t number, int64_t scratch) {
    if (AAM_UNLIKELY(sink->kept == sink->views_room))
        return is_full(sink, AAM_ROOM_VIEWS);
    int64_t row = sink->kept++;
    sink->numbers[row] = number;
    sink->positions[row] = sink->made;
    sink->scratch_bytes = scratch;
    uint8_t *view = sink->views == NULL ? NULL : sink->views + VIEW_BYTES * row;
    for (int64_t column = 0; view != NULL && column < columns; column++, view += VIEW_BYTES * sink->views_room) {
        const struct aam_field *field = &sink->fields[column];
        uintptr_t in_scratch = (uintptr_t)field->start - (uintptr_t)sink->scratch;
        if (AAM_UNLIKELY(in_scratch < (uintptr_t)sink->scratch_room))
            write_view(view, field, origin.scratch, (uint32_t)in_scratch);
        else
            write_view(view, field, origin.number, (uint32_t)((uintptr_t)field->start - (uintptr_t)origin.start));
    }
    return true;
}

/* Make the line of a row, or keep the row without one: always where there is no form.

   `number` is what tells where the row is. The values of this row that are in scratch memory end at `scratch` there:
   they begin at `sink->scratch_bytes`. */
AAM_INLINE bool put_row(struct aam_sink *sink, const struct aam_form *form, int64_t columns, struct origin origin,
                        int64_t number, int64_t scratch) {
    if (form == NULL)
        return keep_row(sink, columns, origin, number, scratch);
    enum aam_id_form of_id = AAM_OTHER;
    if (AAM_UNLIKELY(form->of_ids != NULL)) {
        of_id = quick_form_of_id(&sink->fields[form->ids->column]);
        form = form->of_ids[of_id];
        if (AAM_UNLIKELY(form == NULL))
            return keep_row(sink, columns, origin, number, scratch);
    }
    struct line line;
    const uint8_t *limit = sink->lines + sink->lines_room - AAM_SLACK;
    bool may_change = scratch != sink->scratch_bytes; /* there are values with escapes: most likely of quotes */
    enum made made = write_line(form, sink->fields, sink->lines + sink->lines_bytes, limit, may_change, &line);
    if (AAM_UNLIKELY(made == NO_ROOM))
        return is_full(sink, AAM_ROOM_LINES);
    if (AAM_UNLIKELY(made == IRREGULAR))
        return keep_row(sink, columns, origin, number, scratch);
    if (AAM_UNLIKELY(sink->made == sink->ends_room))
        return is_full(sink, AAM_ROOM_ENDS);
    sink->lines_bytes = line.end - sink->lines;
    if (sink->line_numbers != NULL)
        sink->line_numbers[sink->made] = number;
    if (sink->line_forms != NULL)
        sink->line_forms[sink->made] = (uint8_t)of_id;
    sink->ends[sink->made++] = sink->lines_bytes;
    sink->signals += line.signals;
    sink->missing += line.missing;
    for (int64_t *step = sink->changed; line.changed != 0; step++, line.changed >>= STEP_BITS)
        *step += (int64_t)(line.changed & MOST_IDS);
    for (uint64_t left = line.doubted; AAM_UNLIKELY(left != 0); left &= left - 1)
        sink->doubted[first_bit(left)]++;
    sink->dropped += line.dropped;
    sink->cleaned += line.cleaned;
    sink->commas += line.commas;
    return true;
}

/* Set a row apart that could not be parsed. */
AAM_INLINE bool put_malformed(struct aam_sink *sink, struct origin origin, int64_t number, const uint8_t *start,
                              int64_t length, enum aam_rule rule) {
    if (AAM_UNLIKELY(sink->malformed_rows == sink->malformed_room))
        return is_full(sink, AAM_ROOM_MALFORMED);
    sink->malformed[sink->malformed_rows++] =
        (struct aam_malformed){number, sink->made, origin.number, start - origin.start, length, rule};
    return true;
}

#endif
