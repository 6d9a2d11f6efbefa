/* Where a text can be cut: behind a newline outside of double quotes, as far as counting quotes can tell. */
#include "vector.h"

AAM_INLINE uint64_t quotes_in(const uint8_t *text) { return equal(text, '"'); }

/* Set each bit to whether an odd number of bits up to it, itself included, is set. */
AAM_INLINE uint64_t odd_up_to(uint64_t bits) {
    for (int shift = 1; shift < AAM_WINDOW; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

/* Set `found` to the number of double quotes in the first `size` bytes of a text. */
AAM_ENTRY(count_quotes)(const uint8_t *text, int64_t size, int64_t *found) {
    if (size < 0)
        return AAM_MALFORMED;
    int64_t quotes = 0;
    for (; size >= AAM_WINDOW; text += AAM_WINDOW, size -= AAM_WINDOW)
        quotes += count_bits(quotes_in(text));
    for (; size > 0; text++, size--)
        quotes += *text == '"';
    *found = quotes;
    return AAM_OK;
}

/* Find in the first `size` bytes of a text what follows the first newline outside of quotes, and what follows the last
   one; both are 0 where there is none. `quotes` double quotes are before the text. */
AAM_ENTRY(cut)(const uint8_t *text, int64_t size, int64_t quotes, int64_t *first, int64_t *last) {
    if (size < 0)
        return AAM_MALFORMED;
    uint8_t copied[AAM_WINDOW] = {0};
    uint64_t inside = quotes & 1 ? ~UINT64_C(0) : 0;
    *first = *last = 0;
    for (int64_t at = 0; at < size; at += AAM_WINDOW) {
        const uint8_t *window = text + at;
        if (size - at < AAM_WINDOW)
            window = memcpy(copied, window, (size_t)(size - at));
        inside ^= odd_up_to(quotes_in(window));
        uint64_t ends = equal(window, '\n') & ~inside;
        if (ends != 0) {
            if (*first == 0)
                *first = at + first_bit(ends) + 1;
            *last = at + AAM_WINDOW - __builtin_clzll(ends);
        }
        inside = inside >> (AAM_WINDOW - 1) ? ~UINT64_C(0) : 0;
    }
    return AAM_OK;
}
