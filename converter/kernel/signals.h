/* The signals of a user: `d_sid=TRAIT` or `TRAIT`, `d_unsid=TRAIT`, `ic=CODE`, and `"key"="value"`. */
#ifndef AAM_SIGNALS_H
#define AAM_SIGNALS_H

#include "items.h"

/* The classes that signals are in, in the order of their bytes, and how many bits of a key are below them. */
enum { BEFORE_ADDED, ADDED, BETWEEN, REMOVED, BEHIND_REMOVED, CLASS_BITS = 3, CLASS_AT = 61 };
enum { ADDED_BYTES = 6, REMOVED_BYTES = 8 };
static const uint64_t ADDED_TEXT = UINT64_C(0x645F7369643D0000), REMOVED_TEXT = UINT64_C(0x645F756E7369643D);

AAM_INLINE uint64_t class_of(const struct aam_item *signal) { return signal->key >> CLASS_AT; }

/* Return the first eight bytes of a text as a number of their order; what is after the text counts as zeros. */
AAM_INLINE uint64_t first_bytes(const uint8_t *text, int64_t length) {
    uint64_t word;
    memcpy(&word, text, sizeof word);
    word = __builtin_bswap64(word);
    return length >= (int64_t)sizeof word ? word : length <= 0 ? 0 : word & ~(~UINT64_C(0) >> 8 * length);
}

/* Return the class of a signal, and what its first bytes are after that of a trait: numbers of traits differ there. */
AAM_INLINE uint64_t key_of(const uint8_t *text, int64_t length, int64_t readable) {
    uint8_t copied[2 * sizeof(uint64_t)] = {0};
    if (AAM_UNLIKELY(readable < (int64_t)sizeof copied)) {
        memcpy(copied, text, (size_t)readable);
        text = copied;
    }
    uint64_t first = first_bytes(text, length), class = BEHIND_REMOVED;
    if (first >> 16 == ADDED_TEXT >> 16)
        class = ADDED, first = first_bytes(text + ADDED_BYTES, length - ADDED_BYTES);
    else if (first == REMOVED_TEXT)
        class = REMOVED, first = first_bytes(text + REMOVED_BYTES, length - REMOVED_BYTES);
    else if (first < REMOVED_TEXT)
        class = first < ADDED_TEXT ? BEFORE_ADDED : BETWEEN;
    return class << CLASS_AT | first >> CLASS_BITS;
}

/* Split a text at commas outside of quotes, into items like `item`, as far as there is room. Returns how many there
   are. Up to `limit` may be read. */
static int64_t split_signals(const uint8_t *start, const uint8_t *end, const uint8_t *limit, struct aam_item item,
                             struct aam_item *items, int64_t room) {
    uint8_t copied[AAM_WINDOW] = {0};
    uint64_t before = 0; /* all bits are set where the window begins inside quotes */
    int64_t found = 0;
    for (const uint8_t *at = start;; at += AAM_WINDOW) {
        const uint8_t *window = at;
        if (AAM_UNLIKELY(limit - at < AAM_WINDOW))
            window = memcpy(copied, at, (size_t)(limit - at));
        uint64_t quotes = equal(window, '"') & lowest(end - at);
        uint64_t inside = quotes != 0 ? before ^ odd_up_to(quotes) : before;
        before = inside >> (AAM_WINDOW - 1) ? ~UINT64_C(0) : 0;
        uint64_t commas = equal(window, ',') & lowest(end - at) & ~inside;
        bool is_last = end - at <= AAM_WINDOW;
        while (commas != 0 || is_last) {
            const uint8_t *stop = commas != 0 ? at + first_bit(commas) : end;
            if (found++ < room) {
                item.start = start, item.length = (uint32_t)(stop - start);
                item.key = key_of(start, stop - start, limit - start);
                *items++ = item;
            }
            if (commas == 0)
                return found;
            commas &= commas - 1;
            start = stop + 1;
        }
    }
}

/* Return how many bytes `"key"=` has, which a pair begins with; 0 where a signal is not a pair. */
static int64_t key_bytes(const struct aam_item *signal) {
    if (signal->length < 3 || *signal->start != '"')
        return 0;
    const uint8_t *quote = memchr(signal->start + 1, '"', signal->length - 2);
    return quote != NULL && quote[1] == '=' ? quote + 2 - signal->start : 0;
}

/* Of several values of a key only the latest is sent, of these the greatest one; none where there is no order. Signals
   are sorted by their bytes. */
static void resolve_values(struct aam_item *signals, int64_t count, bool has_order) {
    struct aam_item *end = signals + count, *next;
    for (struct aam_item *first = signals; first < end && class_of(first) == BEFORE_ADDED; first = next) {
        next = first + 1;
        int64_t size = first->outcome == AAM_SAME ? 0 : key_bytes(first);
        if (size == 0)
            continue;
        struct aam_item *latest = first;
        bool are_several = false;
        for (; next < end && next->length >= size && memcmp(next->start, first->start, (size_t)size) == 0; next++) {
            if (next->outcome == AAM_SAME)
                continue;
            are_several = true;
            if (next->rank >= latest->rank)
                latest = next;
        }
        for (struct aam_item *value = first; are_several && value < next; value++)
            if (value->outcome != AAM_SAME && (value != latest || !has_order))
                value->outcome = has_order ? AAM_SUPERSEDED : AAM_SEVERAL;
    }
}

/* Of an addition and a removal of one trait, the later one is sent, and neither where that is not known. Behind
   `skipped` bytes there are the traits of the additions, in order, as those of the removals are. */
static void resolve_traits(struct aam_item *added, const struct aam_item *added_end, int64_t skipped,
                           struct aam_item *removed, const struct aam_item *removed_end) {
    while (added < added_end && removed < removed_end) {
        int order = compare_texts(added->start + skipped, added->length - skipped, removed->start + REMOVED_BYTES,
                                  removed->length - REMOVED_BYTES);
        if (added->outcome != AAM_SAME && removed->outcome != AAM_SAME && order == 0) {
            if (added->rank == removed->rank)
                added->outcome = removed->outcome = AAM_CONFLICT;
            else
                *(added->rank < removed->rank ? &added->outcome : &removed->outcome) = AAM_SUPERSEDED;
        }
        if (order <= 0)
            added++;
        else
            removed++;
    }
}

/* Decide which of the signals of a user are sent, apart from the limit of lines. */
static inline void resolve(struct aam_item *signals, int64_t count, bool has_order, bool reject_several) {
    if (has_order || reject_several)
        resolve_values(signals, count, has_order);
    struct aam_item *at[] = {signals, signals, signals, signals, signals}, *end = signals + count;
    for (int class = 1; class < 5; class++)
        for (at[class] = at[class - 1]; at[class] < end && (int)class_of(at[class]) < class; at[class]++)
            ;
    if (AAM_LIKELY(at[REMOVED] == at[BEHIND_REMOVED]))
        return;
    resolve_traits(at[ADDED], at[BETWEEN], ADDED_BYTES, at[REMOVED], at[BEHIND_REMOVED]);
    struct aam_item *bare = at[BEFORE_ADDED], *bare_end;
    while (bare < at[ADDED] && (bare->length == 0 || *bare->start < '0'))
        bare++;
    for (bare_end = bare; bare_end < at[ADDED] && is_digit(*bare_end->start);)
        bare_end++;
    resolve_traits(bare, bare_end, 0, at[REMOVED], at[BEHIND_REMOVED]);
}

#endif
