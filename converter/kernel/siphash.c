/* Keyed hashes of texts. */
#include "siphash.h"

/* Hash `count` texts, each from its start to its end in `text`, with a key of two words; `made` gets two words each.
   With a `field`, counted from 0, that field of each text alone: fields end in tabs. */
AAM_ENTRY(keyed_hashes)
(const uint8_t *text, int64_t size, const int64_t *starts, const int64_t *ends, int64_t count, int64_t field,
 const uint64_t *key, uint64_t *made) {
    for (int64_t each = 0; each < count; each++) {
        int64_t start = starts[each], end = ends[each];
        if (start < 0 || start > end || end > size)
            return AAM_MALFORMED;
        for (int64_t left = field; left >= 0; left--) {
            const uint8_t *tab = memchr(text + start, '\t', (size_t)(end - start));
            if (tab == NULL)
                return AAM_MALFORMED;
            if (left == 0)
                end = tab - text;
            else
                start = tab - text + 1;
        }
        keyed_hash(text + start, end - start, key, made + 2 * each);
    }
    return AAM_OK;
}
