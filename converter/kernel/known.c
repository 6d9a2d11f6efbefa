/* Lines that were sent before: looked for by the keyed hashes of their IDs, then by those of the lines. */
#include "hashes.h"
#include "siphash.h"

/* Lines are looked for some at a time: each step waits for memory that is far apart, so it is asked for before. */
enum { TOGETHER = 32 };

/* A line that is looked for. */
struct wanted {
    const struct aam_past *file;
    uint64_t id; /* hashes */
    uint64_t line;
    int64_t start; /* where its user is, if anywhere */
    int64_t end;
};

static bool is_sound(const struct aam_past *file) {
    return file->bits >= 1 && file->bits <= AAM_MOST_PAST_BITS && file->count >= 0 &&
           file->starts_room > INT64_C(1) << file->bits;
}

/* Hash lines from the first one on, which starts at `start`, up to the last one. */
static bool hash_lines(const struct aam_known *known, int64_t first, int64_t last, int64_t start,
                       struct wanted *wanted) {
    for (int64_t line = first; line < last; start = known->ends[line++], wanted++) {
        int64_t end = known->ends[line];
        if (end <= start || end > known->size)
            return false;
        const uint8_t *text = known->lines + start;
        struct aam_field id = id_of(text, known->lines + end - 1, known->lines + known->size, known->skipped);
        wanted->file = known->files + (hash_of(id) >> (WORD_BYTES * 8 - known->file_bits));
        wanted->id = keyed_word(id.start, id.length, known->key);
        wanted->line = keyed_word(text, end - start, known->key);
        wanted->start = (int64_t)(wanted->id >> (WORD_BYTES * 8 - wanted->file->bits));
        __builtin_prefetch(wanted->file->starts + wanted->start);
    }
    return true;
}

/* Set between which entries the user of each line is. */
static bool place_lines(struct wanted *wanted, int64_t count) {
    for (; count > 0; count--, wanted++) {
        const struct aam_past *file = wanted->file;
        const uint32_t *starts = file->starts + wanted->start;
        wanted->start = starts[0];
        wanted->end = starts[1];
        if (wanted->start > wanted->end || wanted->end > file->count)
            return false;
        /* About where it is among those: hashes are distributed evenly. */
        uint64_t behind = (wanted->id << file->bits) >> WORD_HALF;
        uint64_t there = (uint64_t)(wanted->end - wanted->start);
        __builtin_prefetch(file->users + wanted->start + (int64_t)(behind * there >> WORD_HALF), 1);
    }
    return true;
}

AAM_INLINE uint64_t lines_of(const struct aam_past_user *user) {
    return __atomic_load_n(&user->lines, __ATOMIC_RELAXED);
}

/* Note something of a user; return what was noted before. */
AAM_INLINE uint64_t note(struct aam_past_user *user, uint64_t what) {
    return __atomic_fetch_or(&user->lines, what, __ATOMIC_RELAXED);
}

/* Return whether a line is to be taken, and note what becomes of it. */
AAM_INLINE bool is_taken(const struct wanted *wanted, bool is_again) {
    struct aam_past_user *user = wanted->file->users + wanted->start, *end = wanted->file->users + wanted->end;
    while (user < end && user->id < wanted->id)
        user++;
    struct aam_past_user *first = user;
    for (; user < end && user->id == wanted->id; user++) { /* one, but for what is as good as never */
        uint64_t before = lines_of(user);
        if (AAM_UNLIKELY((before ^ wanted->line) > AAM_NOTES))
            continue;
        if (is_again)
            return (before & AAM_LACKING) != 0;
        if ((before & (AAM_DUE | AAM_OMITTED)) == 0)
            before = note(user, AAM_OMITTED); /* by another thread, it may be omitted now */
        if ((before & (AAM_DUE | AAM_OMITTED)) == 0)
            return false;
    }
    if (is_again)
        return false;
    for (user = first; user < end && user->id == wanted->id; user++)
        note(user, AAM_TAKEN);
    return true;
}

/* Set which lines are to be taken: those that are not known, and of equal ones all but one. The second time, those that
   are lacking. */
AAM_ENTRY(known_lines)(struct aam_known *known) {
    if (known->file_bits < 1 || known->file_bits > AAM_MOST_PAST_BITS || known->skipped < 0 || known->count < 0 ||
        known->files_room < INT64_C(1) << known->file_bits || known->taken_room < known->count)
        return AAM_MALFORMED;
    for (int64_t file = 0; file < INT64_C(1) << known->file_bits; file++)
        if (!is_sound(known->files + file))
            return AAM_MALFORMED;
    known->taken_count = 0;
    struct wanted wanted[TOGETHER];
    for (int64_t line = 0, start = 0; line < known->count;) {
        int64_t last = known->count - line < TOGETHER ? known->count : line + TOGETHER;
        if (!hash_lines(known, line, last, start, wanted) || !place_lines(wanted, last - line))
            return AAM_MALFORMED;
        for (const struct wanted *each = wanted; line < last; line++, each++) {
            known->taken[known->taken_count] = line;
            known->taken_count += is_taken(each, known->is_again != 0);
        }
        start = known->ends[last - 1];
    }
    return AAM_OK;
}

/* Copy some lines, one behind the other, and set where each ends. `rows` are their indices. */
AAM_ENTRY(take_lines)
(const uint8_t *lines, int64_t size, const int64_t *ends, int64_t count, const int64_t *rows, int64_t taken,
 uint8_t *made, int64_t made_room, int64_t *made_ends) {
    for (int64_t each = 0, used = 0; each < taken; each++) {
        int64_t row = rows[each];
        if (row < 0 || row >= count)
            return AAM_MALFORMED;
        int64_t start = row > 0 ? ends[row - 1] : 0;
        if (start < 0 || ends[row] < start || ends[row] > size)
            return AAM_MALFORMED;
        int64_t length = ends[row] - start;
        if (length > made_room - used)
            return AAM_MALFORMED;
        copy_exactly(made + used, lines + start, length);
        made_ends[each] = used += length;
    }
    return AAM_OK;
}
