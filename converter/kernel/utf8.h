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

/* Whether a part of a text is UTF-8, behind which AAM_SLACK bytes may be read, and one more. */
__attribute__((noinline, unused)) static bool is_part_utf8(const uint8_t *start, const uint8_t *end) {
    uint64_t pending = 0;
    for (; start < end; start += AAM_WINDOW)
        if (!is_window_utf8(start, lowest(end - start), &pending))
            return false;
    return pending == 0;
}

/* Whether the first `size` bytes of a text are UTF-8. No more of it is read. */
__attribute__((unused)) static bool is_utf8(const uint8_t *text, int64_t size) {
    uint64_t pending = 0;
    for (; size > AAM_WINDOW; text += AAM_WINDOW, size -= AAM_WINDOW)
        if (!is_window_utf8(text, ~UINT64_C(0), &pending))
            return false;
    uint8_t rest[AAM_WINDOW + 1] = {0};
    if (size > 0)
        memcpy(rest, text, (size_t)size);
    return is_window_utf8(rest, lowest(size), &pending) && pending == 0;
}

#endif
