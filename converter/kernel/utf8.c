/* Whether a text is UTF-8. */
#include "utf8.h"

/* Set `found` to whether the first `size` bytes of a text are UTF-8. */
AAM_ENTRY(is_utf8)(const uint8_t *text, int64_t size, int64_t *found) {
    if (size < 0)
        return AAM_MALFORMED;
    uint64_t pending = 0;
    *found = 0;
    for (; size > AAM_WINDOW; text += AAM_WINDOW, size -= AAM_WINDOW)
        if (!is_window_utf8(text, ~UINT64_C(0), &pending))
            return AAM_OK;
    uint8_t rest[AAM_WINDOW + 1] = {0};
    if (size > 0)
        memcpy(rest, text, (size_t)size);
    *found = is_window_utf8(rest, lowest(size), &pending) && pending == 0;
    return AAM_OK;
}
