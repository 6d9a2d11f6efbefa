/* Whole users: lines in the order of the hashes of their IDs, then of the IDs, those of a user together.

   1. Lines are sorted by leading bits of the hashes, in as many passes as their number takes.
   2. Those whose bits are equal are mostly those of one user. Where they are not, they are sorted by hash and ID.
   3. The lines of a user are split into signals, or are put in order themselves, and those that are sent are written.
   No step takes more than n * log(n) comparisons. */
#include "hashes.h"
#include "signals.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, MOST_DIGITS = 3, AHEAD = 16 };

AAM_INLINE const uint8_t *line_at(const struct aam_gather *gather, int64_t row) {
    return gather->lines + (row > 0 ? gather->ends[row - 1] : 0);
}

AAM_INLINE struct aam_field id_at(const struct aam_gather *gather, int64_t row) {
    const uint8_t *newline = gather->lines + gather->ends[row] - 1;
    return id_of(line_at(gather, row), newline, gather->lines + gather->size, gather->skipped);
}

/* Sort by one digit, from `from` to `to`. */
static void sort_digit(const struct aam_row *from, struct aam_row *to, int64_t count, int64_t lead, int64_t shift) {
    int64_t places[DIGITS + 1] = {0};
    for (int64_t at = 0; at < count; at++)
        places[(from[at].hash << lead >> shift & (DIGITS - 1)) + 1]++;
    for (int64_t digit = 0; digit < DIGITS; digit++)
        places[digit + 1] += places[digit];
    for (int64_t at = 0; at < count; at++)
        to[places[from[at].hash << lead >> shift & (DIGITS - 1)]++] = from[at];
}

/* Sort the lines by those bits of their hashes that follow the leading ones that all share; equal ones stay in order.
   Returns whether the lines end where they can. */
static bool sort_rows(struct aam_gather *gather) {
    struct aam_row *rows = gather->rows, *others = rows + gather->count;
    uint64_t differing = 0;
    for (int64_t row = 0, before = 0; row < gather->count; before = gather->ends[row++]) {
        int64_t end = gather->ends[row];
        if (end <= before || end > gather->size || end - before > UINT32_MAX)
            return false;
        rows[row] = (struct aam_row){hash_of(id_at(gather, row)), row};
        differing |= rows[row].hash ^ rows[0].hash;
    }
    gather->lead = differing != 0 ? __builtin_clzll(differing) : 0;
    int64_t digits = 1;
    while (digits < MOST_DIGITS && gather->count >> (DIGIT_BITS * digits - 2) != 0)
        digits++;
    gather->bits = DIGIT_BITS * digits;
    for (int64_t digit = 0; digit < digits; digit++) {
        struct aam_row *from = digit % 2 == 0 ? rows : others;
        sort_digit(from, from == rows ? others : rows, gather->count, gather->lead,
                   AAM_WINDOW - gather->bits + DIGIT_BITS * digit);
    }
    if (digits % 2 != 0)
        memcpy(rows, others, (size_t)gather->count * sizeof *rows);
    return true;
}

static int32_t needs(struct aam_gather *gather, enum aam_gather_room room, int64_t needed) {
    gather->full = room, gather->needed = needed;
    return AAM_FULL;
}

/* What is written for a user. */
struct writer {
    uint8_t *line; /* where the line begins that is being written, or NULL */
    uint8_t *at;
    int64_t lines;
};

/* End the line that is being written, if there is one. Returns whether there is room. */
AAM_INLINE bool end_line(struct aam_gather *gather, struct writer *writer) {
    if (writer->line == NULL)
        return true;
    if (gather->made.lines == gather->text_ends_room)
        return false;
    writer->at -= writer->at[-1] == ',';
    *writer->at++ = '\n';
    writer->line = NULL;
    gather->made.text_bytes = writer->at - gather->text;
    gather->text_ends[gather->made.lines++] = gather->made.text_bytes;
    return true;
}

/* Write lines of those signals of a user that are sent. `head` of `head_bytes` is what is before their tab. */
static int32_t write_signals(struct aam_gather *gather, const uint8_t *head, int64_t head_bytes,
                             struct aam_item *signals, int64_t count) {
    const uint8_t *limit = gather->lines + gather->size, *room_end = gather->text + gather->text_room - AAM_SLACK;
    struct writer writer = {NULL, gather->text + gather->made.text_bytes, 0};
    bool is_cut = false;
    for (struct aam_item *signal = signals; signal < signals + count; signal++) {
        if (signal->outcome != AAM_WRITTEN)
            continue;
        int64_t length = signal->length;
        if (writer.line == NULL || writer.at - writer.line + length + 1 > gather->most_line_bytes) {
            if (!end_line(gather, &writer))
                return needs(gather, AAM_ROOM_TEXT_ENDS, gather->made.lines + 1);
            is_cut |= writer.lines == gather->most_lines;
        }
        if (AAM_UNLIKELY(is_cut)) {
            signal->outcome = AAM_CUT;
            continue;
        }
        if (head_bytes + length + 3 > room_end - writer.at) /* and a tab, a comma, a newline */
            return needs(gather, AAM_ROOM_TEXT, writer.at - gather->text + head_bytes + length + 3 + AAM_SLACK);
        if (writer.line == NULL) {
            writer.line = writer.at;
            writer.at = copy(writer.at, head, head_bytes, limit - head);
            *writer.at++ = '\t';
            writer.lines++;
        }
        writer.at = copy(writer.at, signal->start, length, limit - signal->start);
        if (length > 0)
            *writer.at++ = ',';
    }
    if (!end_line(gather, &writer))
        return needs(gather, AAM_ROOM_TEXT_ENDS, gather->made.lines + 1);
    gather->made.over += is_cut;
    return AAM_OK;
}

/* Do the lines of a user signal by signal. `spare` has room for so many items. */
static int32_t gather_signals(struct aam_gather *gather, const struct aam_item *lines, int64_t count,
                              struct aam_item *spare, int64_t room) {
    const uint8_t *limit = gather->lines + gather->size;
    int64_t found = 0;
    for (const struct aam_item *line = lines; line < lines + count; line++) {
        const uint8_t *start = line->start + line->length, *newline = gather->lines + gather->ends[line->row] - 1;
        int64_t left = found < room ? room - found : 0;
        found += split_signals(start < newline ? start + 1 : newline, newline, limit, *line,
                               left > 0 ? spare + found : spare, left);
    }
    if (2 * found > room)
        return needs(gather, AAM_ROOM_ITEMS, spare - gather->items + 2 * found);
    struct aam_item *signals = spare;
    sort_by_text(signals, found, spare + found);
    mark_same(signals, found);
    resolve(signals, found, gather->order != NULL, gather->reject_several);
    const uint8_t *head = line_at(gather, lines->row);
    int32_t status = write_signals(gather, head, lines->start + lines->length - head, signals, found);
    if (status != AAM_OK)
        return status;
    uint32_t outcome = AAM_WRITTEN;
    for (const struct aam_item *signal = signals; signal < signals + found; signal++) {
        if (signal->outcome != AAM_SAME)
            outcome = signal->outcome;
        gather->made.signals[signal->outcome != AAM_SAME ? outcome : AAM_REPEATED] += signal->length != 0;
        if (outcome < gather->outcomes[signal->row])
            gather->outcomes[signal->row] = (uint8_t)outcome;
    }
    return AAM_OK;
}

/* Do the lines of a user, each as a whole. `spare` has room for so many items. */
static int32_t gather_lines(struct aam_gather *gather, struct aam_item *lines, int64_t count, struct aam_item *spare,
                            int64_t room) {
    if (count > room)
        return needs(gather, AAM_ROOM_ITEMS, spare - gather->items + count);
    const uint8_t *limit = gather->lines + gather->size, *room_end = gather->text + gather->text_room - AAM_SLACK;
    sort_by_rank(lines, count, spare);
    if (gather->drop_repeated) {
        for (struct aam_item *line = lines; line < lines + count; line++) { /* from here on a line, not its ID */
            line->length = (uint32_t)(gather->lines + gather->ends[line->row] - line->start);
            line->key = key_of(line->start, line->length, limit - line->start);
        }
        sort_by_text(lines, count, spare); /* of the same ones, the first stays the first */
        for (struct aam_item *first = lines, *line = lines + 1; line < lines + count; line++) {
            if (is_same(first, line))
                line->outcome = AAM_REPEATED;
            else
                first = line;
        }
        sort_by_rank(lines, count, spare);
    }
    int64_t written = 0, signals[AAM_OUTCOMES] = {0};
    bool is_cut = false;
    for (struct aam_item *line = lines; line < lines + count; line++) {
        const uint8_t *start = line_at(gather, line->row), *end = gather->lines + gather->ends[line->row];
        if (line->outcome == AAM_WRITTEN && written == gather->most_lines) {
            line->outcome = AAM_CUT;
            is_cut = true;
        }
        const uint8_t *tab = field_end(line->start, end - 1, limit);
        if (tab + 1 < end - 1)
            signals[line->outcome] += split_signals(tab + 1, end - 1, limit, *line, NULL, 0);
        gather->outcomes[line->row] = (uint8_t)line->outcome;
        if (line->outcome != AAM_WRITTEN)
            continue;
        uint8_t *to = gather->text + gather->made.text_bytes;
        if (end - start > room_end - to)
            return needs(gather, AAM_ROOM_TEXT, gather->made.text_bytes + (end - start) + AAM_SLACK);
        if (gather->made.lines == gather->text_ends_room)
            return needs(gather, AAM_ROOM_TEXT_ENDS, gather->made.lines + 1);
        gather->made.text_bytes = copy(to, start, end - start, limit - start) - gather->text;
        gather->text_ends[gather->made.lines++] = gather->made.text_bytes;
        written++;
    }
    for (int outcome = 0; outcome < AAM_OUTCOMES; outcome++)
        gather->made.signals[outcome] += signals[outcome];
    gather->made.over += is_cut;
    return AAM_OK;
}

/* Do lines whose leading bits are equal: mostly those of one user. Those before `gather->done` are done already. */
static int32_t gather_run(struct aam_gather *gather, int64_t from, int64_t stop) {
    int64_t count = stop - from;
    struct aam_item *lines = gather->items;
    if (2 * count > gather->items_room)
        return needs(gather, AAM_ROOM_ITEMS, 2 * count);
    for (int64_t at = from; at < stop; at++) {
        if (at + 2 * AHEAD < gather->count) {
            int64_t later = gather->rows[at + 2 * AHEAD].row, row = gather->rows[at + AHEAD].row;
            __builtin_prefetch(gather->ends + later);
            __builtin_prefetch(gather->ends + later - (later > 0));
            __builtin_prefetch(line_at(gather, row));
            __builtin_prefetch(line_at(gather, row) + AAM_WINDOW);
            __builtin_prefetch(gather->outcomes + row, 1);
            if (gather->order != NULL)
                __builtin_prefetch(gather->order + row);
        }
        int64_t row = gather->rows[at].row, rank = gather->order != NULL ? (int64_t)gather->order[row] : 0;
        struct aam_field id = id_at(gather, row);
        if (!gather->by_signal)
            rank = (int64_t)((uint64_t)rank ^ (uint64_t)INT64_MIN); /* it is unsigned there */
        lines[at - from] =
            (struct aam_item){gather->rows[at].hash, rank, id.start, row, (uint32_t)id.length, AAM_WRITTEN};
    }
    if (AAM_UNLIKELY(!are_same(lines, count)))
        sort_by_text(lines, count, lines + count);
    for (int64_t user = gather->done - from, next; user < count; user = next) {
        for (next = user + 1; next < count && is_same(&lines[user], &lines[next]);)
            next++;
        int64_t made = gather->made.lines, text_bytes = gather->made.text_bytes, room = gather->items_room - count;
        int32_t status = gather->by_signal ? gather_signals(gather, lines + user, next - user, lines + count, room)
                                           : gather_lines(gather, lines + user, next - user, lines + count, room);
        if (status != AAM_OK) {
            gather->made.lines = made, gather->made.text_bytes = text_bytes;
            return status; /* what was done of the user is done again */
        }
        gather->done += next - user;
        if (gather->made.lines == made)
            continue;
        int64_t written = 0;
        for (int64_t line = user; line < next; line++)
            written += gather->outcomes[lines[line].row] == AAM_WRITTEN;
        gather->user_rows[gather->made.users] = written;
        gather->users[gather->made.users++] = made;
    }
    return AAM_OK;
}

/* Gather the lines of users. */
AAM_ENTRY(gather)(struct aam_gather *given) {
    struct aam_gather gather = *given;
    if (gather.count < 0 || gather.skipped < 0 || gather.run < 0 || gather.run > gather.done || gather.done > gather.count ||
        gather.rows_room / 2 < gather.count || gather.users_room <= gather.count ||
        gather.user_rows_room < gather.count || gather.outcomes_room < gather.count ||
        (gather.order != NULL && gather.order_room < gather.count) || gather.made.lines > gather.text_ends_room ||
        gather.text_room < AAM_SLACK || gather.made.text_bytes > gather.text_room - AAM_SLACK)
        return AAM_MALFORMED;
    if (!gather.is_sorted) {
        if (!sort_rows(&gather))
            return AAM_MALFORMED;
        memset(gather.outcomes, UINT8_MAX, (size_t)gather.count);
        gather.is_sorted = true;
    }
    for (int64_t start = gather.run, next; start < gather.count; start = next) {
        uint64_t hash = gather.rows[start].hash;
        for (next = start + 1; next < gather.count; next++)
            if ((gather.rows[next].hash ^ hash) << gather.lead >> (AAM_WINDOW - gather.bits) != 0)
                break;
        int32_t status = gather_run(&gather, start, next);
        if (status != AAM_OK) {
            gather.run = start;
            *given = gather;
            return status;
        }
    }
    gather.users[gather.made.users] = gather.made.lines;
    *given = gather;
    return AAM_OK;
}

/* Count the signals of lines: what is after the field after the first `skipped` ones. */
AAM_ENTRY(count_signals)
(const uint8_t *lines, int64_t size, const int64_t *ends, int64_t count, int64_t skipped, int64_t *found) {
    *found = 0;
    for (int64_t line = 0, start = 0; line < count; start = ends[line++]) {
        if (ends[line] <= start || ends[line] > size)
            return AAM_MALFORMED;
        const uint8_t *newline = lines + ends[line] - 1;
        struct aam_field id = id_of(lines + start, newline, lines + size, skipped);
        const uint8_t *signals = id.start + id.length + 1;
        if (signals < newline)
            *found += split_signals(signals, newline, lines + size, (struct aam_item){0}, NULL, 0);
    }
    return AAM_OK;
}
