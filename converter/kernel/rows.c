/* Where rows of delimited text end. */
#include "marks.h"

/* Find the rows that end within the first `size` bytes of a text that begins at a row's start.

   An opening quote has to stand at the start of a field and a closing one at its end; where one does not, the text is
   not regular, and the rows before it are found. `room` bytes of the text may be read. */
AAM_ENTRY(whole_rows)
(const uint8_t *text, int64_t size, int64_t room, uint8_t separator, struct aam_rows *found) {
    if (size < 0 || room < size + AAM_SLACK)
        return AAM_MALFORMED;
    const uint8_t *row = text;
    int64_t rows = 0, inner = 0, inner_before = 0;
    bool regular = true;
    struct marks marks = marks_of(text, text + size, '"');
    for (;;) {
        const uint8_t *mark = next_mark(&marks);
        if (mark >= marks.end)
            break;
        if (*mark == '\r')
            continue;
        if (*mark == '\n') {
            rows++;
            row = mark + 1;
            inner_before = inner;
            continue;
        }
        if (mark != row && mark[-1] != separator) {
            regular = false;
            break;
        }
        for (;;) { /* inside quotes */
            mark = next_mark(&marks);
            if (mark + 1 >= marks.end)
                break;
            if (*mark == '"') {
                if (mark[1] != '"')
                    break;
                mark = next_mark(&marks);
            } else if (*mark == '\n') {
                inner++;
            }
        }
        if (mark + 1 >= marks.end) /* what follows is not known yet */
            break;
        uint8_t after = mark[1];
        if (after == '\r' && mark + 2 >= marks.end)
            break;
        if (after != separator && after != '\n' && (after != '\r' || mark[2] != '\n')) {
            regular = false;
            break;
        }
    }
    *found = (struct aam_rows){.end = row - text, .rows = rows, .inner = inner_before, .regular = regular};
    return AAM_OK;
}
