/* Vectors of bytes, each test on which gives one bit a byte, the first byte lowest.

   clang turns its boolean vectors into the instructions that every processor has for this. Other compilers take the
   portable way, which is several times slower. */
#ifndef AAM_VECTOR_H
#define AAM_VECTOR_H

#include "kernel.h"

#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* no vector is passed to another file */
#endif

#define AAM_WINDOW 64
#define AAM_HALF 32
#define AAM_SHORT 16 /* nearly all values are no longer */

#define AAM_INLINE static inline __attribute__((always_inline, unused))
#define AAM_LIKELY(truth) __builtin_expect(!!(truth), 1)
#define AAM_UNLIKELY(truth) __builtin_expect(!!(truth), 0)

typedef uint8_t aam_bytes __attribute__((vector_size(AAM_WINDOW)));
typedef int8_t aam_truths __attribute__((vector_size(AAM_WINDOW)));
typedef uint8_t aam_half_bytes __attribute__((vector_size(AAM_HALF)));
typedef int8_t aam_half_truths __attribute__((vector_size(AAM_HALF)));

AAM_INLINE aam_bytes load(const uint8_t *start) {
    aam_bytes vector;
    memcpy(&vector, start, sizeof vector);
    return vector;
}

AAM_INLINE aam_half_bytes load_half(const uint8_t *start) {
    aam_half_bytes vector;
    memcpy(&vector, start, sizeof vector);
    return vector;
}

#if defined(__clang__) && !defined(AAM_PORTABLE)

typedef bool aam_bits __attribute__((ext_vector_type(AAM_WINDOW)));
typedef bool aam_half_bits __attribute__((ext_vector_type(AAM_HALF)));

AAM_INLINE uint64_t bits_of(aam_truths truths) {
    aam_bits bits = __builtin_convertvector(truths, aam_bits);
    uint64_t packed;
    memcpy(&packed, &bits, sizeof packed);
    return packed;
}

AAM_INLINE uint64_t half_bits_of(aam_half_truths truths) {
    aam_half_bits bits = __builtin_convertvector(truths, aam_half_bits);
    uint32_t packed;
    memcpy(&packed, &bits, sizeof packed);
    return packed;
}

#else

/* The truths of eight bytes are 0 or 255: one bit of each, gathered by a product into the highest byte. */
AAM_INLINE uint64_t gathered(const void *truths, int bytes) {
    uint64_t packed = 0;
    for (int at = 0; at < bytes; at += 8) {
        uint64_t word = 0;
        for (int byte = 0; byte < 8; byte++)
            word |= (uint64_t)(((const uint8_t *)truths)[at + byte] & 1) << (8 * byte);
        packed |= (word * UINT64_C(0x0102040810204080) >> 56) << at;
    }
    return packed;
}

AAM_INLINE uint64_t bits_of(aam_truths truths) { return gathered(&truths, AAM_WINDOW); }
AAM_INLINE uint64_t half_bits_of(aam_half_truths truths) { return gathered(&truths, AAM_HALF); }

#endif

/* Masks of 64 bytes from an address; all of them must be readable. */
AAM_INLINE uint64_t equal(const uint8_t *start, uint8_t byte) { return bits_of((aam_truths)(load(start) == byte)); }
AAM_INLINE uint64_t at_least(const uint8_t *start, uint8_t byte) { return bits_of((aam_truths)(load(start) >= byte)); }
AAM_INLINE uint64_t within(const uint8_t *start, uint8_t first, uint8_t last) {
    return bits_of((aam_truths)((aam_bytes)(load(start) - first) <= (uint8_t)(last - first)));
}

/* A mask of so many of the lowest bits; of all where there are more. */
AAM_INLINE uint64_t lowest(int64_t count) { return count < AAM_WINDOW ? (UINT64_C(1) << count) - 1 : ~UINT64_C(0); }
AAM_INLINE int64_t first_bit(uint64_t bits) { return __builtin_ctzll(bits); } /* there must be one */
AAM_INLINE int64_t count_bits(uint64_t bits) { return __builtin_popcountll(bits); }

AAM_INLINE bool is_digit(uint8_t byte) { return (uint8_t)(byte - '0') <= 9; }

AAM_INLINE void copy_short(uint8_t *target, const uint8_t *source) { memcpy(target, source, AAM_SHORT); }

/* Copy a value of which `readable` bytes may be read. Up to 15 bytes after it are written to. Returns its end. */
AAM_INLINE uint8_t *copy(uint8_t *target, const uint8_t *source, int64_t length, int64_t readable) {
    uint8_t *end = target + length;
    while (length > AAM_SHORT) {
        copy_short(target, source);
        target += AAM_SHORT, source += AAM_SHORT;
        length -= AAM_SHORT, readable -= AAM_SHORT;
    }
    if (AAM_LIKELY(readable >= AAM_SHORT))
        copy_short(target, source);
    else
        for (int64_t at = 0; at < length; at++)
            target[at] = source[at];
    return end;
}

/* Copy a text, and write to nothing after it. */
AAM_INLINE void copy_exactly(uint8_t *target, const uint8_t *source, int64_t length) {
    if (length >= AAM_SHORT) {
        for (int64_t at = 0; at < length - AAM_SHORT; at += AAM_SHORT)
            copy_short(target + at, source + at);
        copy_short(target + length - AAM_SHORT, source + length - AAM_SHORT);
    } else if (length >= 8) { /* two words that overlap */
        memcpy(target, source, 8);
        memcpy(target + length - 8, source + length - 8, 8);
    } else {
        for (int64_t at = 0; at < length; at++)
            target[at] = source[at];
    }
}

/* Set each bit to whether an odd number of bits up to it, itself included, is set. */
AAM_INLINE uint64_t odd_up_to(uint64_t bits) {
    for (int shift = 1; shift < AAM_WINDOW; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

#endif
