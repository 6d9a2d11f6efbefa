/* Delimited text: its rows become lines or string views, or are malformed.

   A field that begins with a quote ends at the quote that closes it, which a separator, LF, CR LF must follow; two
   quotes in it are one. Any other field is all up to the separator or the LF, with quotes and CRs as text; one CR before
   the LF belongs to it. Where a row is not of this form, its first physical line is malformed, and the next row begins
   behind that. */
#include "sink.h"
#include "utf8.h"

/* The bytes that delimit fields, one after the other: separators, double quotes and newlines. */
struct delimiters {
    const uint8_t *window; /* the 64 bytes that are looked at */
    const uint8_t *end;
    uint64_t bits; /* those of the window that are left */
    uint8_t separator;
};

AAM_INLINE uint64_t delimiters_in(const uint8_t *window, uint8_t separator) {
    aam_bytes text = load(window);
    return bits_of((aam_truths)((text == separator) | (text == '"') | (text == '\n')));
}

/* Return the delimiters of a text from an address on. Behind the text, AAM_SLACK bytes may be read. */
AAM_INLINE struct delimiters delimiters_from(const uint8_t *start, const uint8_t *end, uint8_t separator) {
    return (struct delimiters){start, end, start < end ? delimiters_in(start, separator) : 0, separator};
}

/* Return the next delimiter; the end, or a byte behind it, where there is none. */
AAM_INLINE const uint8_t *next_delimiter(struct delimiters *left) {
    while (left->bits == 0) {
        if (left->end - left->window <= AAM_WINDOW)
            return left->end;
        left->window += AAM_WINDOW;
        left->bits = delimiters_in(left->window, left->separator);
    }
    const uint8_t *found = left->window + first_bit(left->bits);
    left->bits &= left->bits - 1;
    return found;
}

enum outcome {
    WHOLE,
    MISQUOTED,  /* for sure, whatever follows */
    REPEATED,   /* ends like the row before that was not whole */
    UNFINISHED, /* the text ends before the row does */
    NO_SCRATCH,
};

/* A row that is read. */
struct row {
    const uint8_t *start;
    const uint8_t *next;     /* where the next one starts; how far one that is not whole was read */
    const uint8_t *line_end; /* of its first physical line, where that ends inside quotes */
    int64_t newlines;        /* inside quotes */
    int64_t fields;
    int64_t scratch; /* where its values in scratch memory end */
};

/* How far the last row was read that was not whole, and whether that was for its quotes: else it was too long.

   A later row that is inside quotes at a newline before that is in the same field as that row, so it ends like it: where
   it began a quoted field at another place, it did so inside quotes of that row, and was out of its own again before
   the next newline. Without this, a text could be read to its end from each of its lines. */
struct failure {
    const uint8_t *until;
    bool is_misquoted;
};

/* Copy a quoted value to scratch memory, with one quote for each two. Returns its length. AAM_SLACK bytes behind it, and
   behind the copy, must be there. */
static int64_t unescape(uint8_t *target, const uint8_t *start, const uint8_t *stop) {
    uint8_t *end = target;
    while (start < stop) {
        uint64_t quotes = equal(start, '"') & lowest(stop - start);
        int64_t own = stop - start < AAM_WINDOW ? stop - start : AAM_WINDOW, skipped = 0;
        if (quotes != 0)
            own = first_bit(quotes) + 1, skipped = 1;
        memcpy(end, start, AAM_WINDOW);
        end += own;
        start += own + skipped;
    }
    return end - target;
}

/* Find the quote that closes a field, whose opening quote has been taken: `row->next` is where it stands. */
AAM_INLINE enum outcome find_closing(struct delimiters *left, struct row *row, const struct failure *failure,
                                     int64_t longest, bool *is_escaped) {
    for (;;) {
        const uint8_t *mark = next_delimiter(left);
        row->next = mark;
        if (AAM_UNLIKELY(mark >= left->end))
            return UNFINISHED;
        if (*mark == '"') {
            if (AAM_UNLIKELY(mark + 1 == left->end))
                return UNFINISHED;
            if (mark[1] != '"')
                return WHOLE;
            next_delimiter(left);
            *is_escaped = true;
        } else if (AAM_UNLIKELY(*mark == '\n')) {
            if (row->newlines++ == 0)
                row->line_end = mark;
            if (mark < failure->until && (failure->is_misquoted || failure->until - row->start > longest))
                return REPEATED;
        }
    }
}

/* Read a quoted field. `row->next` becomes the delimiter behind it. */
AAM_INLINE enum outcome read_quoted(struct delimiters *left, const struct aam_layout *layout,
                                    const struct aam_sink *sink, struct row *row, const struct failure *failure,
                                    const uint8_t *readable, struct aam_field *value) {
    const uint8_t *start = row->next + 1;
    bool is_escaped = false;
    enum outcome outcome = find_closing(left, row, failure, layout->longest, &is_escaped);
    if (AAM_UNLIKELY(outcome != WHOLE))
        return outcome;
    const uint8_t *stop = row->next, *after = stop + 1;
    if (*after == '\r') {
        if (AAM_UNLIKELY(++after >= left->end))
            return UNFINISHED;
        if (AAM_UNLIKELY(*after != '\n'))
            return MISQUOTED;
    } else if (AAM_UNLIKELY(*after != layout->separator && *after != '\n')) {
        return MISQUOTED;
    }
    next_delimiter(left);
    row->next = after;
    *value = (struct aam_field){start, stop - start, readable - start};
    if (AAM_UNLIKELY(is_escaped) && value != &sink->fields[layout->columns]) {
        int64_t room = sink->scratch_room - row->scratch;
        if (room < stop - start + AAM_SLACK)
            return NO_SCRATCH;
        uint8_t *copied = scratch_at(sink, row->scratch);
        *value = (struct aam_field){copied, unescape(copied, start, stop), room};
        row->scratch += value->length;
    }
    return WHOLE;
}

/* Read a row into `sink->fields`. */
AAM_INLINE enum outcome read_row(struct delimiters *left, const struct aam_layout *layout, const struct aam_sink *sink,
                                 struct row *row, const struct failure *failure, const uint8_t *readable) {
    for (row->fields = 0;;) {
        int64_t column = row->fields < layout->fields ? layout->slots[row->fields] : layout->columns;
        struct aam_field *value = &sink->fields[column];
        row->fields++;
        const uint8_t *start = row->next, *mark = next_delimiter(left);
        if (AAM_UNLIKELY(mark >= left->end))
            return UNFINISHED;
        if (AAM_UNLIKELY(*mark == '"') && mark == start) {
            enum outcome outcome = read_quoted(left, layout, sink, row, failure, readable, value);
            if (AAM_UNLIKELY(outcome != WHOLE))
                return outcome;
            mark = row->next;
        } else {
            while (AAM_UNLIKELY(*mark == '"')) {
                mark = next_delimiter(left);
                if (AAM_UNLIKELY(mark >= left->end))
                    return UNFINISHED;
            }
            *value = (struct aam_field){start, mark - start, readable - start};
            if (*mark == '\n' && mark > start && mark[-1] == '\r')
                value->length--;
        }
        row->next = mark + 1;
        if (*mark == '\n')
            return WHOLE;
    }
}

AAM_INLINE bool is_blank(const struct row *row) {
    int64_t length = row->next - row->start;
    return row->fields == 1 && (length == 1 || (length == 2 && *row->start == '\r'));
}

/* What is kept between calls in the state of the sink, beside where the failure is. */
enum { IS_MISQUOTED = 1, IS_UTF8 = 2, IS_BEGUN = 4, FAILURE_SHIFT = 3 };

/* A text that is parsed. */
struct reading {
    struct origin origin;
    const uint8_t *end;
    const uint8_t *readable;
    bool is_utf8;
    bool is_ended; /* whether no more text follows */
};

/* Put a row where it belongs that has been read to its end. */
AAM_INLINE bool put_whole(struct aam_sink *sink, const struct reading *text, const struct aam_layout *layout,
                          const struct aam_form *form, const struct row *row) {
    int64_t length = row->next - 1 - row->start;
    if (AAM_UNLIKELY(is_blank(row))) {
        sink->blank++;
        return true;
    }
    bool is_sound = text->is_utf8 || is_utf8(row->start, row->start + length);
    if (AAM_LIKELY(is_sound && row->fields == layout->fields))
        return put_row(sink, form, layout->columns, text->origin, sink->newlines, row->scratch);
    enum aam_rule rule = !is_sound ? AAM_NOT_UTF8 : row->fields < layout->fields ? AAM_TOO_SHORT : AAM_TOO_LONG;
    return put_malformed(sink, text->origin, sink->newlines, row->start, length, rule);
}

/* Set the first physical line apart of a row that is not whole. `row->next` becomes what is behind it, or stays where
   that line has no end yet. */
AAM_INLINE bool put_misquoted(struct aam_sink *sink, const struct reading *text, struct row *row) {
    const uint8_t *line_end = row->line_end;
    if (line_end == NULL)
        line_end = memchr(row->start, '\n', (size_t)(text->end - row->start));
    if (line_end == NULL) {
        row->next = row->start;
        return true;
    }
    int64_t length = line_end - row->start;
    enum aam_rule rule = text->is_utf8 || is_utf8(row->start, row->start + length) ? AAM_MISQUOTED : AAM_NOT_UTF8;
    row->next = line_end + 1;
    row->newlines = 0;
    return put_malformed(sink, text->origin, sink->newlines, row->start, length, rule);
}

/* Parse a text from byte `at` of the sink on, up to the start of a row that has no end yet. */
AAM_INLINE int32_t parse(const struct reading *text, const struct aam_layout *layout, const struct aam_form *form,
                         struct aam_sink *sink) {
    const uint8_t *start = text->origin.start;
    struct failure failure = {start + (sink->state >> FAILURE_SHIFT), (sink->state & IS_MISQUOTED) != 0};
    struct row row = {.next = start + sink->at};
    struct delimiters left = delimiters_from(row.next, text->end, layout->separator);
    while (row.next < text->end) {
        row = (struct row){.start = row.next, .next = row.next, .scratch = sink->scratch_bytes};
        enum outcome outcome = read_row(&left, layout, sink, &row, &failure, text->readable);
        bool is_put;
        if (AAM_LIKELY(outcome == WHOLE && (row.newlines == 0 || row.next - row.start <= layout->longest))) {
            is_put = put_whole(sink, text, layout, form, &row);
        } else if (outcome == NO_SCRATCH) {
            is_put = is_full(sink, AAM_ROOM_SCRATCH);
        } else {
            bool is_misquoted = outcome == MISQUOTED || (outcome == UNFINISHED && text->is_ended);
            const uint8_t *until = outcome == UNFINISHED ? text->end : row.next;
            row.next = row.start;
            if (!is_misquoted && outcome == UNFINISHED && until - row.start <= layout->longest)
                break;
            if (until > failure.until)
                failure = (struct failure){until, is_misquoted};
            is_put = put_misquoted(sink, text, &row);
            if (row.next == row.start)
                break;
            left = delimiters_from(row.next, text->end, layout->separator);
        }
        if (AAM_UNLIKELY(!is_put)) {
            sink->at = row.start - start;
            sink->state = (failure.until - start) << FAILURE_SHIFT | IS_BEGUN | (text->is_utf8 ? IS_UTF8 : 0) |
                          (failure.is_misquoted ? IS_MISQUOTED : 0);
            return AAM_FULL;
        }
        sink->newlines += row.newlines + 1;
    }
    sink->at = row.next - start;
    return AAM_OK;
}

/* Parse texts from text `text` of the sink on. */
AAM_INLINE int32_t parse_all(struct aam_text *texts, int64_t count, const struct aam_layout *layout,
                             const struct aam_form *form, bool is_last, struct aam_sink *sink) {
    for (;; sink->text++, sink->at = 0, sink->state = 0) {
        struct aam_text *text = &texts[sink->text];
        bool is_ended = is_last || sink->text + 1 < count;
        if (text->size < 0 || text->size > INT32_MAX || text->room < text->size + AAM_SLACK || sink->at < 0 ||
            sink->at > text->size || sink->state >> FAILURE_SHIFT > text->size)
            return AAM_MALFORMED;
        if (is_ended && text->size > 0 && text->start[text->size - 1] != '\n')
            return AAM_MALFORMED;
        struct reading reading = {
            .origin = {text->start, (uint32_t)sink->text, (uint32_t)count},
            .end = text->start + text->size,
            .readable = text->start + text->room,
            .is_ended = is_ended,
        };
        reading.is_utf8 = sink->state & IS_BEGUN ? (sink->state & IS_UTF8) != 0 : is_utf8(text->start, reading.end);
        int64_t newlines = sink->newlines;
        int32_t status = parse(&reading, layout, form, sink);
        text->newlines += sink->newlines - newlines;
        if (status != AAM_OK || sink->text + 1 == count)
            return status;
    }
}

/* Parse `count` texts, each of which begins with a row and, but for the last one where not `is_last`, ends with one.

   Rows become lines where there is a form. Behind the last row of the last text, the call ends; `at` says where. */
AAM_ENTRY(delimited)
(struct aam_text *texts, int64_t count, const struct aam_layout *given_layout, const struct aam_form *form,
 int32_t is_last, struct aam_sink *given) {
    const struct aam_layout layout = *given_layout;
    if (count < 1 || given->text < 0 || given->text >= count || layout.fields < 1 ||
        !is_sound_sink(given, layout.columns, count) || (form != NULL && !is_sound_form(form, layout.columns, given)))
        return AAM_MALFORMED;
    for (int64_t field = 0; field < layout.fields; field++)
        if (layout.slots[field] < 0 || layout.slots[field] > layout.columns)
            return AAM_MALFORMED;
    struct aam_sink sink = *given;
    memset(sink.fields, 0, (size_t)sink.fields_room * sizeof *sink.fields); /* also those that no field gives */
    int32_t status = form != NULL ? parse_all(texts, count, &layout, form, is_last, &sink)
                                  : parse_all(texts, count, &layout, NULL, is_last, &sink);
    *given = sink;
    return status;
}
