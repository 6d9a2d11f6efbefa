/* Whether a text is UTF-8. */
#include "utf8.h"

/* Set `found` to whether the first `size` bytes of a text are UTF-8. */
AAM_ENTRY(is_utf8)(const uint8_t *text, int64_t size, int64_t *found) {
    if (size < 0)
        return AAM_MALFORMED;
    *found = is_utf8(text, size);
    return AAM_OK;
}
