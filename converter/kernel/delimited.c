/* Delimited text: its rows become lines or string views, or are malformed.

   A field that begins with a quote ends at the quote that closes it, which a separator, LF, CR LF must follow; two
   quotes in it are one. Any other field is all up to the separator or the LF, with quotes and CRs as text; CRs before
   the LF belong to it. Where there are escapes, a byte after a backslash is text, whatever it is, and an unquoted `\N`
   alone is a missing value; outside of quotes there are escapes only where there are no quotes at all. Where a row is
   not of this form, its first physical line is malformed, with those lines after it that belong to it (`broken.h`),
   and the next row begins after that. */
#include "broken.h"
#include "sink.h"
#include "utf8.h"

/* The bytes that delimit fields, one after the other: separators, quotes, newlines, and backslashes that escape. */
struct delimiters {
    const uint8_t *window; /* the 64 bytes that are looked at */
    const uint8_t *end;
    uint64_t bits; /* those of the window that are left */
};

AAM_INLINE uint64_t delimiters_in(const uint8_t *window, const struct grammar grammar) {
    aam_bytes text = load(window);
    aam_truths found = (aam_truths)((text == grammar.separator) | (text == '\n'));
    if (grammar.has_quote)
        found |= (aam_truths)(text == grammar.quote);
    if (grammar.has_escape)
        found |= (aam_truths)(text == '\\');
    return bits_of(found);
}

/* Return the delimiters of a text from an address on. Behind the text, AAM_SLACK bytes may be read. */
AAM_INLINE struct delimiters delimiters_from(const uint8_t *start, const uint8_t *end, const struct grammar grammar) {
    return (struct delimiters){start, end, start < end ? delimiters_in(start, grammar) : 0};
}

/* Return the next delimiter; the end, or a byte after it, where there is none. */
AAM_INLINE const uint8_t *next_delimiter(struct delimiters *left, const struct grammar grammar) {
    while (left->bits == 0) {
        if (left->end - left->window <= AAM_WINDOW)
            return left->end;
        left->window += AAM_WINDOW;
        left->bits = delimiters_in(left->window, grammar);
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
    const uint8_t *line_end; /* of its first physical line, where that ends inside a field */
    const uint8_t *last[2];  /* the last newlines inside quotes, and of unquoted fields */
    int64_t newlines;        /* inside fields */
    int64_t broken;          /* fields with newlines */
    int64_t fields;
    int64_t scratch;         /* where its values in scratch memory end */
    const uint8_t *field;    /* where its last field starts */
    enum reading_of_quotes reading;
};

/* How far the last row was read that was not whole, and whether that was for its quotes: else it was too long. From
   `from` on, all its newlines were inside quotes, or all escaped outside of them.

   A later row that is likewise at a newline between both is in the same field as that row, so it ends like it: where it
   began a quoted field at another place, it did so inside quotes of that row, and was out of its own again before the
   next newline. Without this, a text could be read to its end from each of its lines. */
struct failure {
    const uint8_t *from;
    const uint8_t *until;
    bool is_misquoted;
};

/* Where newlines are inside fields. */
enum place { QUOTED, UNQUOTED };

/* Copy a quoted value to scratch memory, with one quote for each two. Returns its length. AAM_SLACK bytes after it, and
   after the copy, must be there. */
static int64_t unescape(uint8_t *target, const uint8_t *start, const uint8_t *stop, uint8_t quote) {
    uint8_t *end = target;
    while (start < stop) {
        uint64_t quotes = equal(start, quote) & lowest(stop - start);
        int64_t own = stop - start < AAM_WINDOW ? stop - start : AAM_WINDOW, skipped = 0;
        if (quotes != 0)
            own = first_bit(quotes) + 1, skipped = 1;
        memcpy(end, start, AAM_WINDOW);
        end += own;
        start += own + skipped;
    }
    return end - target;
}

/* The same, also with what a byte after a backslash stands for. `quote` is a backslash where no quote is doubled. */
static int64_t decode(uint8_t *target, const uint8_t *start, const uint8_t *stop, uint8_t quote,
                      const uint8_t *meanings) {
    uint8_t *end = target;
    while (start < stop) {
        uint64_t marks = (equal(start, quote) | equal(start, '\\')) & lowest(stop - start);
        int64_t plain = stop - start < AAM_WINDOW ? stop - start : AAM_WINDOW;
        if (marks != 0)
            plain = first_bit(marks);
        memcpy(end, start, AAM_WINDOW);
        end += plain;
        start += plain;
        if (marks != 0) {
            uint8_t meant = *start == '\\' ? meanings[start[1]] : *start;
            *end++ = meant;
            if (meant == '\\' && start[1] != '\\')
                *end++ = start[1];
            start += 2;
        }
    }
    return end - target;
}

/* Put the value of a field from `start` to `stop`, as it is without escapes, into scratch memory. */
AAM_INLINE bool put_decoded(const struct grammar grammar, const struct aam_sink *sink, struct row *row,
                            const uint8_t *start, const uint8_t *stop, bool is_quoted, struct aam_field *value) {
    int64_t room = sink->scratch_room - row->scratch;
    if (room < stop - start + AAM_SLACK)
        return false;
    uint8_t *copied = scratch_at(sink, row->scratch);
    int64_t length = grammar.has_escape
                         ? decode(copied, start, stop, is_quoted ? grammar.quote : '\\', grammar.meanings)
                         : unescape(copied, start, stop, grammar.quote);
    *value = (struct aam_field){copied, length, room};
    row->scratch += length;
    return true;
}

/* Note a newline inside a field. Returns whether the row ends like one that was not whole. */
AAM_INLINE bool is_repeated(struct row *row, const uint8_t *newline, enum place place, const struct failure *failures,
                            int64_t longest) {
    const struct failure *failure = &failures[place];
    if (row->newlines++ == 0)
        row->line_end = newline;
    row->last[place] = newline;
    return newline >= failure->from && newline < failure->until &&
           (failure->is_misquoted || failure->until - row->start > longest);
}

/* Take the byte after a backslash at `mark`, which is text. */
AAM_INLINE enum outcome take_escaped(struct delimiters *left, const struct grammar grammar, const uint8_t *mark,
                                     struct row *row, enum place place, const struct failure *failures,
                                     int64_t longest) {
    if (AAM_UNLIKELY(mark + 1 >= left->end))
        return UNFINISHED;
    uint8_t byte = mark[1];
    if (byte == '\n' || byte == '\\' || byte == grammar.separator ||
        (grammar.has_quote && byte == grammar.quote))
        next_delimiter(left, grammar);
    return byte == '\n' && is_repeated(row, mark + 1, place, failures, longest) ? REPEATED : WHOLE;
}

/* Find the quote that closes a field, whose opening quote has been taken: `row->next` is where it stands. */
AAM_INLINE enum outcome find_closing(struct delimiters *left, const struct grammar grammar, struct row *row,
                                     const struct failure *failures, int64_t longest, bool *is_escaped) {
    for (;;) {
        const uint8_t *mark = next_delimiter(left, grammar);
        row->next = mark;
        if (AAM_UNLIKELY(mark >= left->end))
            return UNFINISHED;
        if (grammar.has_escape && *mark == '\\') {
            enum outcome outcome = take_escaped(left, grammar, mark, row, QUOTED, failures, longest);
            if (AAM_UNLIKELY(outcome != WHOLE))
                return outcome;
            *is_escaped = true;
        } else if (*mark == grammar.quote) {
            if (AAM_UNLIKELY(mark + 1 == left->end))
                return UNFINISHED;
            if (mark[1] != grammar.quote)
                return WHOLE;
            next_delimiter(left, grammar);
            *is_escaped = true;
        } else if (AAM_UNLIKELY(*mark == '\n')) {
            if (is_repeated(row, mark, QUOTED, failures, longest))
                return REPEATED;
        }
    }
}

/* Read a quoted field, whose opening quote is at `row->next`, which becomes the delimiter after it. */
AAM_INLINE enum outcome read_quoted(struct delimiters *left, const struct grammar grammar,
                                    const struct aam_layout *layout, const struct aam_sink *sink, struct row *row,
                                    const struct failure *failures, const uint8_t *readable, struct aam_field *value) {
    const uint8_t *start = row->next + 1;
    int64_t newlines = row->newlines;
    bool is_escaped = false;
    enum outcome outcome = find_closing(left, grammar, row, failures, layout->longest, &is_escaped);
    if (AAM_UNLIKELY(outcome != WHOLE))
        return outcome;
    const uint8_t *stop = row->next, *after = stop + 1;
    while (grammar.skips_spaces && after < left->end && *after == ' ')
        after++;
    if (grammar.skips_spaces && after >= left->end)
        return UNFINISHED;
    if (*after == '\r') {
        do
            if (AAM_UNLIKELY(++after >= left->end))
                return UNFINISHED;
        while (AAM_UNLIKELY(*after == '\r'));
        if (AAM_UNLIKELY(*after != '\n'))
            return MISQUOTED;
    } else if (AAM_UNLIKELY(*after != layout->separator && *after != '\n')) {
        return MISQUOTED;
    }
    next_delimiter(left, grammar);
    row->next = after;
    row->broken += row->newlines != newlines;
    *value = (struct aam_field){start, stop - start, readable - start};
    if (AAM_UNLIKELY(is_escaped) && value != &sink->fields[layout->columns] &&
        !put_decoded(grammar, sink, row, start, stop, true, value))
        return NO_SCRATCH;
    return WHOLE;
}

/* Read to the end of an unquoted field, in which a quote or a backslash is at `mark`. Returns where it ends in `mark`;
   `kept` becomes what is after the last byte that is escaped. */
AAM_INLINE enum outcome read_marks(struct delimiters *left, const struct grammar grammar,
                                   const struct aam_layout *layout, struct row *row, const struct failure *failures,
                                   const uint8_t **mark, const uint8_t **kept) {
    const uint8_t *quote = NULL, *at = *mark;
    int64_t quotes = 0, newlines = row->newlines;
    do {
        if (grammar.has_escape && !grammar.has_quote && *at == '\\') {
            row->next = at;
            enum outcome outcome = take_escaped(left, grammar, at, row, UNQUOTED, failures, layout->longest);
            if (AAM_UNLIKELY(outcome != WHOLE))
                return outcome;
            *kept = at + 2;
        } else if (*at == grammar.quote) {
            quote = at, quotes++;
        }
        row->next = at = next_delimiter(left, grammar);
        if (AAM_UNLIKELY(at >= left->end))
            return UNFINISHED;
    } while (*at != layout->separator && *at != '\n');
    if (quotes & 1)
        row->reading = note_stray(grammar, row->start, row->field, quote, at, row->reading);
    row->broken += row->newlines != newlines;
    *mark = at;
    return WHOLE;
}

/* Read an unquoted field from `row->field` to `mark`, its first delimiter. `row->next` becomes what ends it. */
AAM_INLINE enum outcome read_unquoted(struct delimiters *left, const struct grammar grammar,
                                      const struct aam_layout *layout, const struct aam_sink *sink, struct row *row,
                                      const struct failure *failures, const uint8_t *readable, const uint8_t *mark,
                                      struct aam_field *value) {
    const uint8_t *start = row->field, *kept = NULL;
    if (AAM_UNLIKELY(*mark != layout->separator && *mark != '\n')) {
        enum outcome outcome = read_marks(left, grammar, layout, row, failures, &mark, &kept);
        if (AAM_UNLIKELY(outcome != WHOLE))
            return outcome;
    }
    row->next = mark;
    int64_t length = mark - start;
    if (*mark == '\n')
        while (length > 0 && start[length - 1] == '\r' && start + length != kept)
            length--;
    *value = (struct aam_field){start, length, readable - start};
    if (grammar.has_escape && length == 2 && start[0] == '\\' && start[1] == 'N')
        value->length = 0;
    else if (kept != NULL && value != &sink->fields[layout->columns] &&
             !put_decoded(grammar, sink, row, start, start + length, false, value))
        return NO_SCRATCH;
    return WHOLE;
}

/* Read a row into `sink->fields`. */
AAM_INLINE enum outcome read_row(struct delimiters *left, const struct grammar grammar, const struct aam_layout *layout,
                                 const struct aam_sink *sink, struct row *row, const struct failure *failures,
                                 const uint8_t *readable) {
    for (row->fields = 0;;) {
        int64_t column = row->fields < layout->fields ? layout->slots[row->fields] : layout->columns;
        struct aam_field *value = &sink->fields[column];
        row->fields++;
        const uint8_t *mark = next_delimiter(left, grammar);
        if (grammar.skips_spaces)
            while (row->next < left->end && *row->next == ' ')
                row->next++;
        row->field = row->next;
        if (AAM_UNLIKELY(mark >= left->end))
            return UNFINISHED;
        bool is_quoted = grammar.has_quote && *mark == grammar.quote && mark == row->next;
        enum outcome outcome =
            AAM_UNLIKELY(is_quoted) ? read_quoted(left, grammar, layout, sink, row, failures, readable, value)
                                    : read_unquoted(left, grammar, layout, sink, row, failures, readable, mark, value);
        if (AAM_UNLIKELY(outcome != WHOLE))
            return outcome;
        if (*row->next++ == '\n')
            return WHOLE;
    }
}

/* Whether a row has nothing but CRs, or is a comment. */
AAM_INLINE bool is_blank(const struct row *row) {
    const uint8_t *at = row->start;
    while (*at == '\r')
        at++;
    return at + 1 == row->next;
}

/* What is kept between calls in the state of the sink, beside how far the row before that was misquoted was read. */
enum { IS_MISQUOTED = 1, IS_UTF8 = 2, IS_BEGUN = 4, FAILURE_SHIFT = 3 };

/* A text that is parsed. */
struct reading {
    struct origin origin;
    const uint8_t *end;
    const uint8_t *readable;
    bool is_utf8;
    bool is_ended; /* whether no more text follows */
};

AAM_INLINE bool put_bad(struct aam_sink *sink, const struct reading *text, const uint8_t *start, const uint8_t *stop,
                        enum aam_rule rule) {
    bool is_sound = text->is_utf8 || is_utf8(start, stop);
    return put_malformed(sink, text->origin, sink->newlines, start, stop - start, is_sound ? rule : AAM_NOT_UTF8);
}

/* Return the rule that a row breaks that has been read to its end; AAM_UNCERTAIN where it breaks none. */
AAM_INLINE enum aam_rule rule_of(const struct reading *text, const struct aam_layout *layout, const struct row *row) {
    if (AAM_UNLIKELY(row->fields != layout->fields))
        return row->fields < layout->fields ? AAM_TOO_SHORT : AAM_TOO_LONG;
    if (AAM_UNLIKELY(layout->empty_last)) {
        const uint8_t *at = row->field;
        while (*at == '\r')
            at++;
        if (at + 1 != row->next)
            return AAM_TOO_LONG;
    }
    if (AAM_UNLIKELY(row->reading == TWO_READINGS))
        return AAM_MISQUOTED;
    return text->is_utf8 || is_utf8(row->start, row->next - 1) ? AAM_UNCERTAIN : AAM_NOT_UTF8;
}

/* Put a row where it belongs that has been read to its end. */
AAM_INLINE bool put_whole(struct aam_sink *sink, const struct reading *text, const struct aam_layout *layout,
                          const struct aam_form *form, const struct row *row) {
    if (AAM_UNLIKELY(row->fields == 1 && is_blank(row))) {
        sink->blank++;
        return true;
    }
    enum aam_rule rule = rule_of(text, layout, row);
    if (AAM_UNLIKELY(rule != AAM_UNCERTAIN))
        return put_bad(sink, text, row->start, row->next - 1, rule);
    if (AAM_UNLIKELY(!put_row(sink, form, layout->columns, text->origin, sink->newlines, row->scratch)))
        return false;
    sink->broken += row->broken;
    return true;
}

/* Set a row apart that goes to the newline at `last`. */
AAM_INLINE bool put_lines(struct aam_sink *sink, const struct reading *text, struct row *row, const uint8_t *last,
                          enum aam_rule rule) {
    row->next = last + 1;
    row->newlines = newlines_in(row->start, last);
    return put_bad(sink, text, row->start, last, rule);
}

/* Set a row apart that is not whole: its first physical line, with those after it that belong to it. `row->next`
   becomes what is after them, or stays where that is not known yet. */
AAM_INLINE bool put_misquoted(struct aam_sink *sink, const struct reading *text, const struct aam_layout *layout,
                          const struct grammar grammar, struct row *row) {
    const uint8_t *last = end_of_broken(grammar, row->start, text->end, text->is_ended, layout->longest);
    if (last == NULL)
        last = row->line_end != NULL ? row->line_end : memchr(row->start, '\n', (size_t)(text->end - row->start));
    row->next = row->start;
    if (last == NULL || last == text->end)
        return true;
    return put_lines(sink, text, row, last, AAM_MISQUOTED);
}

/* Put a row that has not been read to its end, and note how far it was read. `row->next` stays where more text is
   needed. */
AAM_INLINE bool put_failed(struct aam_sink *sink, const struct reading *text, const struct aam_layout *layout,
                           const struct grammar grammar, struct row *row, enum outcome outcome,
                           struct failure *failures) {
    bool is_misquoted = outcome == MISQUOTED || (outcome == UNFINISHED && text->is_ended);
    const uint8_t *until = outcome == UNFINISHED ? text->end : row->next;
    row->next = row->start;
    if (!is_misquoted && outcome == UNFINISHED && until - row->start <= layout->longest)
        return true;
    for (int place = QUOTED; place <= UNQUOTED; place++) {
        const uint8_t *other = row->last[1 - place];
        if (until > failures[place].until)
            failures[place] = (struct failure){other == NULL ? row->start : other + 1, until, is_misquoted};
    }
    return put_misquoted(sink, text, layout, grammar, row);
}

/* Return the newline at the end of the line that begins with a comment; NULL where there is none. */
AAM_INLINE const uint8_t *comment_end(const struct reading *text, const uint8_t *start) {
    return memchr(start, '\n', (size_t)(text->end - start));
}

/* Parse a text from byte `at` of the sink on, up to the start of a row that has no end yet. */
AAM_INLINE int32_t parse(const struct reading *text, const struct aam_layout *layout, const struct grammar grammar,
                         const struct aam_form *form, struct aam_sink *sink) {
    const uint8_t *start = text->origin.start, *last;
    struct failure failures[] = {{start, start, false}, {start, start, false}};
    if (!grammar.has_escape)
        failures[QUOTED] = (struct failure){start, start + (sink->state >> FAILURE_SHIFT), sink->state & IS_MISQUOTED};
    struct row row = {.next = start + sink->at};
    struct delimiters left = delimiters_from(row.next, text->end, grammar);
    while (row.next < text->end) {
        if (grammar.comment != 0 && *row.next == grammar.comment) {
            last = comment_end(text, row.next);
            if (last == NULL)
                break;
            row.next = last + 1;
            left = delimiters_from(row.next, text->end, grammar);
            sink->blank++, sink->newlines++;
            continue;
        }
        row = (struct row){.start = row.next, .next = row.next, .scratch = sink->scratch_bytes};
        enum outcome outcome = read_row(&left, grammar, layout, sink, &row, failures, text->readable);
        bool is_put;
        if (AAM_LIKELY(outcome == WHOLE && (row.newlines == 0 || row.next - row.start <= layout->longest))) {
            if (AAM_UNLIKELY(layout->is_crlf) && !(row.next - row.start > 1 && row.next[-2] == '\r') &&
                (last = end_of_torn(row.start, row.next, text->end, text->is_ended, layout->longest)) != NULL) {
                row.next = row.start;
                if (last == text->end)
                    break;
                is_put = put_lines(sink, text, &row, last, AAM_TORN);
                left = delimiters_from(row.next, text->end, grammar);
            } else {
                is_put = put_whole(sink, text, layout, form, &row);
            }
        } else if (outcome == NO_SCRATCH) {
            is_put = is_full(sink, AAM_ROOM_SCRATCH);
        } else {
            is_put = put_failed(sink, text, layout, grammar, &row, outcome, failures);
            if (row.next == row.start)
                break;
            left = delimiters_from(row.next, text->end, grammar);
        }
        if (AAM_UNLIKELY(!is_put)) {
            sink->at = row.start - start;
            sink->state = (failures[QUOTED].until - start) << FAILURE_SHIFT | IS_BEGUN | (text->is_utf8 ? IS_UTF8 : 0) |
                          (failures[QUOTED].is_misquoted ? IS_MISQUOTED : 0);
            return AAM_FULL;
        }
        sink->newlines += row.newlines + 1;
    }
    sink->at = row.next - start;
    return AAM_OK;
}

/* Parse texts from text `text` of the sink on. */
AAM_INLINE int32_t parse_all(struct aam_text *texts, int64_t count, const struct aam_layout *layout,
                             const struct grammar grammar, const struct aam_form *form, bool is_last,
                             struct aam_sink *sink) {
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
        int32_t status = parse(&reading, layout, grammar, form, sink);
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
    struct grammar grammar = {layout.separator, layout.quote, layout.quote != 0, layout.meanings != NULL,
                              layout.skips_spaces != 0, layout.comment, layout.meanings};
    int32_t status;
    if (grammar.quote == '"' && !grammar.has_escape && !grammar.skips_spaces && grammar.comment == 0) {
        struct grammar plain = {layout.separator, '"', true, false, false, 0, NULL};
        status = form != NULL ? parse_all(texts, count, &layout, plain, form, is_last, &sink)
                              : parse_all(texts, count, &layout, plain, NULL, is_last, &sink);
    } else if (grammar.quote == '"' && !grammar.skips_spaces && grammar.comment == 0) {
        struct grammar escaped = {layout.separator, '"', true, true, false, 0, layout.meanings};
        status = form != NULL ? parse_all(texts, count, &layout, escaped, form, is_last, &sink)
                              : parse_all(texts, count, &layout, escaped, NULL, is_last, &sink);
    } else {
        status = form != NULL ? parse_all(texts, count, &layout, grammar, form, is_last, &sink)
                              : parse_all(texts, count, &layout, grammar, NULL, is_last, &sink);
    }
    *given = sink;
    return status;
}
