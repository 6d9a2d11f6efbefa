/* The shortest digits that give a binary number back.

   After Raffaello Giulietti, "The Schubfach way to render doubles" (2022): the decimals of an interval are found with
   products of 128 bits, and the shortest of them, closest to the number, is taken. */
#ifndef AAM_DECIMALS_H
#define AAM_DECIMALS_H

#include "vector.h"

enum { FIRST_POWER = -292, LAST_POWER = 324 }; /* of ten, that 64-bit numbers need */

/* `digits` * 10^`exponent` */
struct decimal {
    uint64_t digits;
    int32_t exponent;
};

/* A number's bits: `fraction`, of so many bits, and the biased exponent. */
struct binary {
    uint64_t fraction;
    int32_t exponent;
    int32_t fraction_bits;
    int32_t bias; /* of the exponent, `fraction_bits` included */
};

/* The upper half of a product with a power of ten; its lowest bit also stands for all bits below it. */
AAM_INLINE uint64_t round_to_odd(const uint64_t *power, uint64_t factor) {
    unsigned __int128 low = (unsigned __int128)power[0] * factor;
    unsigned __int128 high = (unsigned __int128)power[1] * factor + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* Return the shortest digits of a finite number that is not zero. `powers` are the upper 128 bits of each power of ten
   from FIRST_POWER on, rounded up, the lower 64 bits first. */
AAM_INLINE struct decimal shortest(struct binary number, const uint64_t *powers) {
    uint64_t hidden = UINT64_C(1) << number.fraction_bits;
    bool is_normal = number.exponent != 0;
    uint64_t c = is_normal ? hidden | number.fraction : number.fraction;
    int32_t q = (is_normal ? number.exponent : 1) - number.bias;
    if (q <= 0 && q >= -number.fraction_bits && (c & ((UINT64_C(1) << -q) - 1)) == 0)
        return (struct decimal){c >> -q, 0};
    bool closer = number.fraction == 0 && number.exponent > 1; /* the number below is nearer than the one above */
    uint64_t odd = c & 1;
    int32_t k = (q * 1262611 - (closer ? 524031 : 0)) >> 22; /* log10 of the interval's width */
    int32_t h = q + ((-k * 1741647) >> 19) + 1;
    const uint64_t *power = powers + 2 * (-k - FIRST_POWER);
    uint64_t lower = round_to_odd(power, (4 * c - 2 + closer) << h) + odd;
    uint64_t exact = round_to_odd(power, (4 * c) << h);
    uint64_t upper = round_to_odd(power, (4 * c + 2) << h) - odd;
    uint64_t s = exact / 4, tens = s / 10;
    if (s >= 10) {
        bool below = lower <= 40 * tens, above = 40 * tens + 40 <= upper;
        if (below != above)
            return (struct decimal){tens + above, k + 1};
    }
    bool below = lower <= 4 * s, above = 4 * s + 4 <= upper;
    if (below != above)
        return (struct decimal){s + above, k};
    uint64_t middle = 4 * s + 2;
    return (struct decimal){s + (exact > middle || (exact == middle && (s & 1) != 0)), k};
}

#endif
