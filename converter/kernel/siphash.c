/* Keyed hashes of texts: SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012; https://github.com/veorq/SipHash). */
#include "kernel.h"

struct state {
    uint64_t a, b, c, d;
};

static inline uint64_t rotated(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

static inline void mix(struct state *state, int rounds) {
    for (; rounds > 0; rounds--) {
        state->a += state->b;
        state->c += state->d;
        state->b = rotated(state->b, 13) ^ state->a;
        state->d = rotated(state->d, 16) ^ state->c;
        state->a = rotated(state->a, 32) + state->d;
        state->c += state->b;
        state->d = rotated(state->d, 21) ^ state->a;
        state->b = rotated(state->b, 17) ^ state->c;
        state->c = rotated(state->c, 32);
    }
}

static inline void take(struct state *state, uint64_t word) {
    state->d ^= word;
    mix(state, 2);
    state->a ^= word;
}

static void hash(const uint8_t *text, int64_t size, const uint64_t *key, uint64_t *made) {
    struct state state = {
        key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
        key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t last = (uint64_t)size << 56;
    for (; size >= 8; text += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, text, sizeof word); /* all processors that the library is built for are little-endian */
        take(&state, word);
    }
    for (int64_t at = 0; at < size; at++)
        last |= (uint64_t)text[at] << 8 * at;
    take(&state, last);
    state.c ^= 0xee;
    mix(&state, 4);
    made[0] = state.a ^ state.b ^ state.c ^ state.d;
    state.b ^= 0xdd;
    mix(&state, 4);
    made[1] = state.a ^ state.b ^ state.c ^ state.d;
}

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
        hash(text + start, end - start, key, made + 2 * each);
    }
    return AAM_OK;
}
