/* Where a text can be cut: after a newline outside of quotes, as far as counting quotes can tell.

   What is known before a text: whether the number of quotes is odd, and whether a backslash stands right before. A byte
   after a backslash is neither a quote nor a newline, where there are escapes. */
#include "vector.h"

enum { IS_INSIDE = 1, IS_ESCAPED = 2 };

/* Return which bytes of a window a backslash stands before that is not after one itself; `carried` is whether the
   first one of the window is such a byte, and becomes that of the next window. */
AAM_INLINE uint64_t escaped_in(uint64_t backslashes, uint64_t *carried) {
    uint64_t escaped = *carried;
    backslashes &= ~*carried;
    *carried = 0;
    while (backslashes != 0) {
        int64_t at = first_bit(backslashes);
        escaped |= UINT64_C(2) << at;
        *carried = at == AAM_WINDOW - 1;
        backslashes &= ~(UINT64_C(3) << at);
    }
    return escaped;
}

/* The quotes of a text, window by window. */
struct quotes {
    uint8_t quote; /* 0 where there is none */
    bool has_escapes;
    uint64_t carried;
    uint64_t inside; /* a bit for each byte of the window: whether it is inside quotes, the closing one not included */
    uint64_t escaped;
};

AAM_INLINE void look_at(struct quotes *quotes, const uint8_t *window) {
    quotes->escaped = quotes->has_escapes ? escaped_in(equal(window, '\\'), &quotes->carried) : 0;
    uint64_t found = quotes->quote != 0 ? equal(window, quotes->quote) & ~quotes->escaped : 0;
    uint64_t before = quotes->inside >> (AAM_WINDOW - 1) ? ~UINT64_C(0) : 0;
    quotes->inside = before ^ odd_up_to(found);
}

AAM_INLINE struct quotes quotes_after(int64_t state, int32_t quote, int32_t has_escapes) {
    uint64_t inside = state & IS_INSIDE ? ~UINT64_C(0) : 0;
    return (struct quotes){(uint8_t)quote, has_escapes != 0, (state & IS_ESCAPED) != 0, inside, 0};
}

/* Turn what is known before the first `size` bytes of a text into what is known after them. */
AAM_ENTRY(count_quotes)(const uint8_t *text, int64_t size, int32_t quote, int32_t has_escapes, int64_t *state) {
    if (size < 0)
        return AAM_MALFORMED;
    if (!has_escapes) { /* counting is faster */
        int64_t found = 0;
        for (; size >= AAM_WINDOW; text += AAM_WINDOW, size -= AAM_WINDOW)
            found += count_bits(equal(text, (uint8_t)quote));
        for (; size > 0; text++, size--)
            found += *text == quote;
        *state ^= quote != 0 ? found & IS_INSIDE : 0;
        return AAM_OK;
    }
    struct quotes quotes = quotes_after(*state, quote, has_escapes);
    for (; size >= AAM_WINDOW; text += AAM_WINDOW, size -= AAM_WINDOW)
        look_at(&quotes, text);
    bool is_escaped = quotes.carried, is_inside = quotes.inside >> (AAM_WINDOW - 1);
    for (; size > 0; text++, size--) {
        is_inside ^= !is_escaped && quote != 0 && *text == quote;
        is_escaped = !is_escaped && *text == '\\';
    }
    *state = (is_inside ? IS_INSIDE : 0) | (is_escaped ? IS_ESCAPED : 0);
    return AAM_OK;
}

/* Find in the first `size` bytes of a text what follows the first newline outside of quotes, and what follows the last
   one; both are 0 where there is none. */
AAM_ENTRY(cut)(const uint8_t *text, int64_t size, int32_t quote, int32_t has_escapes, int64_t state, int64_t *first,
               int64_t *last) {
    if (size < 0)
        return AAM_MALFORMED;
    uint8_t copied[AAM_WINDOW] = {0};
    struct quotes quotes = quotes_after(state, quote, has_escapes);
    *first = *last = 0;
    for (int64_t at = 0; at < size; at += AAM_WINDOW) {
        const uint8_t *window = text + at;
        if (size - at < AAM_WINDOW)
            window = memcpy(copied, window, (size_t)(size - at));
        look_at(&quotes, window);
        uint64_t ends = equal(window, '\n') & ~quotes.inside & ~quotes.escaped;
        if (ends != 0) {
            if (*first == 0)
                *first = at + first_bit(ends) + 1;
            *last = at + AAM_WINDOW - __builtin_clzll(ends);
        }
    }
    return AAM_OK;
}
