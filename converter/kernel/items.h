/* Texts in the order of their bytes, or of their ranks. */
#ifndef AAM_ITEMS_H
#define AAM_ITEMS_H

#include "vector.h"

enum { FEW_ITEMS = 16 };

AAM_INLINE int compare_texts(const uint8_t *text, int64_t length, const uint8_t *other, int64_t other_length) {
    int64_t least = length < other_length ? length : other_length;
    int order = least > 0 ? memcmp(text, other, (size_t)least) : 0;
    return order != 0 ? order : (length > other_length) - (length < other_length);
}

AAM_INLINE bool is_same(const struct aam_item *item, const struct aam_item *other) {
    return item->key == other->key && item->length == other->length &&
           memcmp(item->start, other->start, item->length) == 0;
}

AAM_INLINE bool is_before(const struct aam_item *item, const struct aam_item *other, bool by_text) {
    if (!by_text)
        return item->rank != other->rank ? item->rank < other->rank : item->row < other->row;
    if (AAM_LIKELY(item->key != other->key))
        return item->key < other->key;
    return compare_texts(item->start, item->length, other->start, other->length) < 0;
}

/* Merge two sorted runs, which end at `middle` and `end`. */
AAM_INLINE void merge_items(const struct aam_item *item, const struct aam_item *middle, const struct aam_item *end,
                            struct aam_item *target, bool by_text) {
    const struct aam_item *other = middle;
    while (item < middle && other < end)
        *target++ = is_before(other, item, by_text) ? *other++ : *item++;
    if (item < middle)
        memcpy(target, item, (size_t)(middle - item) * sizeof *item);
    if (other < end)
        memcpy(target + (middle - item), other, (size_t)(end - other) * sizeof *other);
}

/* Sort items; equal ones keep their order. `spare` has room for as many. */
AAM_INLINE void sort_items(struct aam_item *items, int64_t count, struct aam_item *spare, bool by_text) {
    int64_t sorted = 1;
    while (sorted < count && !is_before(&items[sorted], &items[sorted - 1], by_text))
        sorted++;
    if (sorted >= count)
        return;
    for (int64_t start = 0; start < count; start += FEW_ITEMS) {
        int64_t stop = start + FEW_ITEMS < count ? start + FEW_ITEMS : count;
        for (int64_t at = start + 1; at < stop; at++) {
            struct aam_item item = items[at];
            int64_t place = at;
            for (; place > start && is_before(&item, &items[place - 1], by_text); place--)
                items[place] = items[place - 1];
            items[place] = item;
        }
    }
    struct aam_item *from = items, *to = spare;
    for (int64_t run = FEW_ITEMS; run < count; run *= 2) {
        for (int64_t start = 0; start < count; start += 2 * run) {
            int64_t middle = start + run < count ? start + run : count;
            int64_t stop = middle + run < count ? middle + run : count;
            merge_items(from + start, from + middle, from + stop, to + start, by_text);
        }
        struct aam_item *merged = to;
        to = from, from = merged;
    }
    if (from != items)
        memcpy(items, from, (size_t)count * sizeof *items);
}

static inline void sort_by_text(struct aam_item *items, int64_t count, struct aam_item *spare) {
    sort_items(items, count, spare, true);
}

static inline void sort_by_rank(struct aam_item *items, int64_t count, struct aam_item *spare) {
    sort_items(items, count, spare, false);
}

/* Whether all items are the same text. */
static inline bool are_same(const struct aam_item *items, int64_t count) {
    for (int64_t at = 1; at < count; at++)
        if (!is_same(&items[0], &items[at]))
            return false;
    return true;
}

/* Mark items that are the same as the one before; the first of them gets the greatest rank. */
static inline void mark_same(struct aam_item *items, int64_t count) {
    struct aam_item *first = items;
    for (struct aam_item *item = items + 1; item < items + count; item++) {
        if (AAM_LIKELY(!is_same(first, item))) {
            first = item;
            continue;
        }
        item->outcome = AAM_SAME;
        if (item->rank > first->rank)
            first->rank = item->rank;
    }
}

#endif
