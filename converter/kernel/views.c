/* Columns of string views become lines. */
#include "views.h"

/* Turn `rows` rows, whose values are in so many columns of string views, into lines, from row `at` of the sink on. */
AAM_ENTRY(view_lines)
(const struct aam_views *columns, int64_t column_count, int64_t rows, const struct aam_form *form,
 struct aam_sink *given) {
    if (rows < 0 || column_count < 1 || !is_sound_sink(given, column_count, 0) || given->views != NULL ||
        given->at < 0 || !is_sound_form(form, column_count, given) || !are_sound_views(columns, column_count, rows))
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
