/* Whether a text is UTF-8: every byte that begins a character is followed by as many as it asks for.

   The well-formed sequences are those of table 3-7 of the Unicode standard. */
#ifndef AAM_UTF8_H
#define AAM_UTF8_H

#include "vector.h"

/* Check the `own` bytes of a window, of which 65 bytes may be read. `pending` marks those that must continue a character
   of the window before, and becomes what that is for the next one. */
AAM_INLINE bool is_window_utf8(const uint8_t *window, uint64_t own, uint64_t *pending) {
    uint64_t high = at_least(window, 0x80) & own;
    if (AAM_LIKELY((high | *pending) == 0))
        return true;
    uint64_t two = at_least(window, 0xC0) & own;
    uint64_t three = at_least(window, 0xE0) & own;
    uint64_t four = at_least(window, 0xF0) & own;
    uint64_t following = two << 1 | three << 2 | four << 3 | *pending;
    uint64_t wrong = following ^ (high & ~two);
    wrong |= two & ~at_least(window, 0xC2); /* overlong */
    if (three != 0) {
        const uint8_t *after = window + 1;
        wrong |= equal(window, 0xE0) & own & ~at_least(after, 0xA0); /* overlong */
        wrong |= equal(window, 0xED) & own & at_least(after, 0xA0);  /* a surrogate */
        wrong |= equal(window, 0xF0) & own & ~at_least(after, 0x90); /* overlong */
        wrong |= equal(window, 0xF4) & own & at_least(after, 0x90);  /* beyond Unicode */
        wrong |= at_least(window, 0xF5) & own;
    }
    *pending = two >> 63 | three >> 62 | four >> 61;
    return wrong == 0;
}

/* Whether a text, or a part of one, is UTF-8. Behind it, AAM_SLACK bytes may be read. */
static __attribute__((noinline)) bool is_utf8(const uint8_t *start, const uint8_t *end) {
    uint64_t pending = 0;
    for (; end - start > AAM_WINDOW; start += AAM_WINDOW)
        if (!is_window_utf8(start, ~UINT64_C(0), &pending))
            return false;
    return is_window_utf8(start, lowest(end - start), &pending) && pending == 0;
}

#endif
