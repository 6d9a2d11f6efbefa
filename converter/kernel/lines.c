/* Rows become lines. Rows that are not regular beyond doubt are left out, for the caller to judge. */
#include "lines.h"
#include "marks.h"

/* Whether a call is sound: all columns that the form names are there, and there is room for slack. */
static bool is_sound(const struct aam_form *form, int64_t columns, const struct aam_output *output) {
    if (form->id_column < 0 || form->id_column >= columns || columns > output->fields_room)
        return false;
    for (const struct aam_part *part = form->parts; part < form->parts + form->part_count; part++)
        if (part->kind != AAM_CONSTANT && (part->column < 0 || part->column >= columns))
            return false;
    return output->lines_room >= AAM_SLACK;
}

AAM_INLINE uint8_t *written_to(const struct aam_output *output) {
    return output->lines + (output->made > 0 ? output->ends[output->made - 1] : 0);
}

/* Count a line that has been written. There must be room for its end. */
AAM_INLINE void add_line(struct aam_output *output, const struct line *line) {
    output->ends[output->made++] = line->end - output->lines;
    output->signals += line->signals;
    output->missing += line->missing;
    output->changed += line->changed;
}

/* Turn the rows in the first `size` bytes of a text, as `whole_rows` found them, into lines. `room` bytes of it may be
   read.

   Rows with too few or too many fields, blank ones, and those with a carriage return that ends no line are irregular.
   Their text goes to `irregular_text`. */
AAM_ENTRY(delimited_lines)
(const uint8_t *text, int64_t size, int64_t room, uint8_t separator, int64_t columns, const struct aam_form *form,
 struct aam_output *given) {
    if (size < 0 || room < size + AAM_SLACK || columns < 1 || !is_sound(form, columns, given))
        return AAM_MALFORMED;
    struct aam_output output = *given; /* which the compiler can keep in registers */
    struct aam_field *fields = output.fields;
    const uint8_t *limit = output.lines + output.lines_room - AAM_SLACK, *end = text + size, *readable = text + room;
    uint8_t *target = written_to(&output);
    int64_t newlines = 0, text_newlines = 0;
    struct marks marks = marks_of(text, end, separator);
    for (const uint8_t *next = text; next < end;) {
        const uint8_t *row = next;
        int64_t row_newlines = newlines, column = 0;
        bool is_irregular = false, is_blank;
        for (;;) { /* a field */
            const uint8_t *start = next, *mark = next_mark(&marks), *stop;
            if (AAM_UNLIKELY(mark >= end))
                return AAM_MALFORMED;
            if (*mark == '"' && mark == start) {
                start++;
                for (;;) {
                    mark = next_mark(&marks);
                    if (AAM_UNLIKELY(mark >= end))
                        return AAM_MALFORMED;
                    if (*mark == '"') {
                        if (mark[1] != '"')
                            break;
                        next_mark(&marks);
                    } else {
                        newlines += *mark == '\n';
                    }
                }
                stop = mark;
                mark = next_mark(&marks);
            } else {
                while (*mark == '\r' && mark[1] != '\n') {
                    is_irregular = true;
                    mark = next_mark(&marks);
                    if (AAM_UNLIKELY(mark >= end))
                        return AAM_MALFORMED;
                }
                stop = mark;
            }
            if (AAM_UNLIKELY(mark >= end))
                return AAM_MALFORMED;
            if (column < columns)
                fields[column] = (struct aam_field){start, stop - start, readable - start};
            column++;
            next = mark + 1;
            if (*mark != separator) {
                is_blank = column == 1 && start == row && stop == start;
                if (*mark == '\r') {
                    next_mark(&marks);
                    next++;
                }
                newlines++;
                break;
            }
        }
        output.rows++;
        enum made made = IRREGULAR;
        struct line line;
        if (column == columns && !is_irregular && !is_blank)
            made = write_line(form, fields, target, limit, &line);
        if (AAM_LIKELY(made == MADE_LINE)) {
            if (output.made == output.ends_room)
                return AAM_MALFORMED;
            add_line(&output, &line);
            target = line.end;
            continue;
        }
        int64_t length = next - row;
        if (made == NO_ROOM)
            return AAM_FULL;
        if (output.left_out == output.irregular_room || output.irregular_text_bytes + length > output.irregular_text_room)
            return AAM_MALFORMED;
        output.irregular[output.left_out++] = (struct aam_irregular){row_newlines, text_newlines, output.made};
        memcpy(output.irregular_text + output.irregular_text_bytes, row, (size_t)length);
        output.irregular_text_bytes += length;
        text_newlines += newlines - row_newlines;
    }
    *given = output;
    return AAM_OK;
}
