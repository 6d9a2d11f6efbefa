/* SHA-256 by the instructions of the processor, where it has them, or in plain C. */
#include "sha256.h"

#if defined(__x86_64__) && defined(__AVX2__)
#include <immintrin.h>
#endif

enum { LENGTH_BYTES = 8 }; /* of the text, in bits, at the end of the last block */

static const uint32_t first_state[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotated(uint32_t word, int bits) { return word >> bits | word << (32 - bits); }

static uint32_t word_at(const uint8_t *start) {
    return (uint32_t)start[0] << 24 | (uint32_t)start[1] << 16 | (uint32_t)start[2] << 8 | start[3];
}

static void take_block(uint32_t state[8], const uint8_t *block) {
    uint32_t words[64], own[8];
    for (int at = 0; at < 16; at++)
        words[at] = word_at(block + 4 * at);
    for (int at = 16; at < 64; at++) {
        uint32_t early = words[at - 15], late = words[at - 2];
        words[at] = words[at - 16] + (rotated(early, 7) ^ rotated(early, 18) ^ early >> 3) + words[at - 7] +
                    (rotated(late, 17) ^ rotated(late, 19) ^ late >> 10);
    }
    memcpy(own, state, sizeof own);
    for (int at = 0; at < 64; at++) {
        uint32_t a = own[0], e = own[4];
        uint32_t first = own[7] + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                         ((e & own[5]) ^ (~e & own[6])) + constants[at] + words[at];
        uint32_t second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
                          ((a & own[1]) ^ (a & own[2]) ^ (own[1] & own[2]));
        memmove(own + 1, own, 7 * sizeof own[0]);
        own[4] += first;
        own[0] = first + second;
    }
    for (int at = 0; at < 8; at++)
        state[at] += own[at];
}

#if defined(__x86_64__) && defined(__AVX2__)

/* The same; the state is kept as the instructions want it: words A B E F, and C D G H, the first of them highest. */
__attribute__((target("sha,sse4.1"))) static void take_block_by_instructions(uint32_t state[8], const uint8_t *block) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i dcba = _mm_loadu_si128((const __m128i *)state), hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i words[4];
#pragma GCC unroll 16
    for (int at = 0; at < 16; at++) {
        __m128i *own = &words[at & 3];
        if (at < 4) {
            *own = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block + at), big_endian);
        } else {
            __m128i last = words[(at + 3) & 3], before = words[(at + 2) & 3];
            *own = _mm_add_epi32(_mm_sha256msg1_epu32(*own, words[(at + 1) & 3]), _mm_alignr_epi8(last, before, 4));
            *own = _mm_sha256msg2_epu32(*own, last);
        }
        __m128i added = _mm_add_epi32(*own, _mm_loadu_si128((const __m128i *)constants + at));
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, added);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(added, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before), cdgh = _mm_add_epi32(cdgh, cdgh_before);
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static bool has_instructions(void) { return aam_has_sha; }

#else
static void take_block_by_instructions(uint32_t state[8], const uint8_t *block) { take_block(state, block); }
static bool has_instructions(void) { return false; }
#endif

static void take(uint32_t state[8], const uint8_t *block) {
    has_instructions() ? take_block_by_instructions(state, block) : take_block(state, block);
}

void sha256(const uint8_t *start, int64_t length, uint8_t digest[SHA256_BYTES]) {
    uint32_t state[8];
    memcpy(state, first_state, sizeof state);
    int64_t left = length;
    for (; left >= SHA256_BLOCK; start += SHA256_BLOCK, left -= SHA256_BLOCK)
        take(state, start);
    uint8_t block[SHA256_BLOCK] = {0};
    for (int64_t at = 0; at < left; at++)
        block[at] = start[at];
    block[left] = 0x80;
    if (left >= SHA256_BLOCK - LENGTH_BYTES) {
        take(state, block);
        memset(block, 0, sizeof block);
    }
    for (int at = 0; at < LENGTH_BYTES; at++)
        block[SHA256_BLOCK - 1 - at] = (uint8_t)((uint64_t)length * 8 >> 8 * at);
    take(state, block);
    for (int at = 0; at < SHA256_BYTES; at++)
        digest[at] = (uint8_t)(state[at / 4] >> (24 - 8 * (at % 4)));
}
