/* Keyed hashes of texts: SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012; https://github.com/veorq/SipHash). */
#ifndef AAM_SIPHASH_H
#define AAM_SIPHASH_H

#include "vector.h"

struct siphash {
    uint64_t a, b, c, d;
};

AAM_INLINE uint64_t rotated(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

AAM_INLINE void siphash_mix(struct siphash *state, int rounds) {
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

AAM_INLINE void siphash_take(struct siphash *state, uint64_t word) {
    state->d ^= word;
    siphash_mix(state, 2);
    state->a ^= word;
}

/* Return the state once a text is taken in. */
AAM_INLINE struct siphash siphash_of(const uint8_t *text, int64_t size, const uint64_t *key) {
    struct siphash state = {
        key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
        key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t last = (uint64_t)size << 56;
    for (; size >= 8; text += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, text, sizeof word); /* all processors that the library is built for are little-endian */
        siphash_take(&state, word);
    }
    for (int64_t at = 0; at < size; at++)
        last |= (uint64_t)text[at] << 8 * at;
    siphash_take(&state, last);
    state.c ^= 0xee;
    siphash_mix(&state, 4);
    return state;
}

/* Return the first word of the hash. */
AAM_INLINE uint64_t keyed_word(const uint8_t *text, int64_t size, const uint64_t *key) {
    struct siphash state = siphash_of(text, size, key);
    return state.a ^ state.b ^ state.c ^ state.d;
}

/* Set two words. */
AAM_INLINE void keyed_hash(const uint8_t *text, int64_t size, const uint64_t *key, uint64_t *made) {
    struct siphash state = siphash_of(text, size, key);
    made[0] = state.a ^ state.b ^ state.c ^ state.d;
    state.b ^= 0xdd;
    siphash_mix(&state, 4);
    made[1] = state.a ^ state.b ^ state.c ^ state.d;
}

#endif
