/* Digits of numbers, days and times, eight at once. */
#ifndef AAM_DIGITS_H
#define AAM_DIGITS_H

#include "vector.h"

#define AAM_EIGHT UINT64_C(100000000) /* more than eight digits can say */

/* Return the eight digits of a number, the first one in the lowest byte; each is from 0 to 9. */
AAM_INLINE uint64_t eight_digits(uint32_t number) {
    uint64_t fours = number / 10000 | (uint64_t)(number % 10000) << 32;
    uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x7F0000007F);
    uint64_t pairs = (fours - 100 * hundreds) << 16 | hundreds;
    uint64_t tens = (pairs * 103 >> 10) & UINT64_C(0xF000F000F000F);
    return (pairs - 10 * tens) << 8 | tens;
}

AAM_INLINE uint64_t as_text(uint64_t digits) { return digits + UINT64_C(0x3030303030303030); }

/* Return how many zeros are before eight digits; the last digit is none of them. */
AAM_INLINE int32_t leading_zeros(uint64_t digits) { return (int32_t)first_bit(digits | UINT64_C(1) << 56) / 8; }

/* Return how many zeros are after eight digits, which are not all zeros. */
AAM_INLINE int32_t last_zeros(uint64_t digits) { return __builtin_clzll(digits) / 8; }

AAM_INLINE uint8_t *put_eight(uint8_t *at, uint64_t text) {
    memcpy(at, &text, 8);
    return at + 8;
}

/* Write a number's digits. Up to 7 bytes after them are written to as well. Returns their end. */
AAM_INLINE uint8_t *put_number(uint8_t *at, uint64_t number) {
    uint64_t rest[2] = {number % AAM_EIGHT, number / AAM_EIGHT % AAM_EIGHT};
    uint64_t first = number;
    int32_t more = 0;
    for (; first >= AAM_EIGHT; first /= AAM_EIGHT)
        more++;
    uint64_t digits = eight_digits((uint32_t)first);
    int32_t zeros = leading_zeros(digits);
    at = put_eight(at, as_text(digits) >> 8 * zeros) - zeros;
    while (more > 0)
        at = put_eight(at, as_text(eight_digits((uint32_t)rest[--more])));
    return at;
}

/* Write digits with a point before the last `scale` of them, and zeros before these where there are fewer digits. `most`
   bytes may be read from each of the digits on, and written after their text. */
AAM_INLINE uint8_t *put_scaled(uint8_t *at, const uint8_t *digits, int64_t count, int64_t scale, size_t most) {
    if (AAM_UNLIKELY(count <= scale)) {
        *at++ = '0';
        *at++ = '.';
        for (; scale > count; scale--)
            *at++ = '0';
        memcpy(at, digits, most);
        return at + count;
    }
    memcpy(at, digits, most);
    at += count - scale;
    if (scale == 0)
        return at;
    *at++ = '.';
    memcpy(at, digits + count - scale, most);
    return at + scale;
}

/* Return the digits of a day, by its number from 1970: year, month and day in a row, as text. */
AAM_INLINE uint64_t day_digits(int64_t day) { /* after Howard Hinnant's civil_from_days */
    uint32_t days = (uint32_t)(day + 719468); /* from 0000-03-01 */
    uint32_t era = days / 146097, of_era = days % 146097;
    uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t from_march = (5 * of_year + 2) / 153, month = from_march < 10 ? from_march + 3 : from_march - 9;
    uint32_t year = year_of_era + era * 400 + (month <= 2);
    return as_text(eight_digits(year * 10000 + month * 100 + of_year - (153 * from_march + 2) / 5 + 1));
}

/* Return the first eight bytes of a day: `2024-01-`. The other two are the digits that are left. */
AAM_INLINE uint64_t day_start(uint64_t digits) {
    return (digits & 0xFFFFFFFF) | (uint64_t)'-' << 32 | (digits >> 32 & 0xFFFF) << 40 | (uint64_t)'-' << 56;
}

/* Write a day. Up to 6 bytes after it are written to as well. */
AAM_INLINE uint8_t *put_day(uint8_t *at, int64_t day) {
    uint64_t digits = day_digits(day);
    return put_eight(put_eight(at, day_start(digits)), digits >> 48) - 6;
}

/* Write a time of the day, from so many seconds and as many units of a second, with as few digits of these as needed.
   Up to 8 bytes after it are written to as well. */
AAM_INLINE uint8_t *put_time(uint8_t *at, int64_t seconds, int64_t units, int64_t in_second) {
    uint32_t time = (uint32_t)seconds;
    uint64_t digits = as_text(eight_digits(time / 3600 * 10000 + time / 60 % 60 * 100 + time % 60)) >> 16;
    at = put_eight(at, (digits & 0xFFFF) | (uint64_t)':' << 16 | (digits >> 16 & 0xFFFF) << 24 | (uint64_t)':' << 40 |
                           (digits >> 32) << 48);
    if (units == 0)
        return at;
    uint32_t nanoseconds = (uint32_t)(units * (1000000000 / in_second));
    *at++ = '.';
    *at = (uint8_t)('0' + nanoseconds / AAM_EIGHT);
    put_eight(at + 1, as_text(eight_digits(nanoseconds % AAM_EIGHT)));
    return at + (nanoseconds % 1000 != 0 ? 9 : nanoseconds % 1000000 != 0 ? 6 : 3);
}

#endif
