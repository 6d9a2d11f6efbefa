/* Columns of numbers, dates and texts become string views. converter/columns/text.py says what the text of a value is. */
#include "texts.h"
#include "decimals.h"
#include "digits.h"

enum {
    VIEW_BYTES = 16,
    INLINE_BYTES = 12,  /* longer texts are in the buffer */
    LONGEST_TEXT = 400, /* of a number: the smallest ones have some 330 digits */
    FLOAT_DIGITS = 24,  /* 17, in words of eight */
    DECIMAL_DIGITS = 56,
};
#define FIRST_DAY (-719162) /* 0001-01-01, from 1970 */
#define LAST_DAY 2932896    /* 9999-12-31 */
#define DAY_SECONDS INT64_C(86400)

static const char out_of_range[] = "\x1a(out of range)";

AAM_INLINE bool has_bit(const uint8_t *bits, int64_t at) { return (bits[at >> 3] >> (at & 7) & 1) != 0; }

/* Set a view to a text of at most INLINE_BYTES: its first 8 bytes and the others. Bytes that are not its own are 0. */
AAM_INLINE void set_short(uint8_t *view, uint64_t length, uint64_t first, uint64_t others) {
    uint64_t words[2] = {length | first << 32, first >> 32 | others << 32};
    memcpy(view, words, sizeof words);
}

/* Set a view to a text after which INLINE_BYTES may be written. Returns false where there is no room for it. */
AAM_INLINE bool set_view(uint8_t *view, uint8_t *start, uint8_t *end, struct aam_texts *texts) {
    uint32_t length = (uint32_t)(end - start);
    if (length <= INLINE_BYTES) {
        memset(end, 0, INLINE_BYTES);
        memcpy(view, &length, sizeof length);
        memcpy(view + 4, start, INLINE_BYTES);
        return true;
    }
    if (length > texts->text_room - texts->text_bytes)
        return false;
    uint32_t fields[4] = {length, 0, (uint32_t)texts->buffer, (uint32_t)texts->text_bytes};
    memcpy(&fields[1], start, 4);
    memcpy(view, fields, sizeof fields);
    memcpy(texts->text + texts->text_bytes, start, length);
    texts->text_bytes += length;
    return true;
}

AAM_INLINE uint8_t *put_out_of_range(uint8_t *at) {
    memcpy(at, out_of_range, sizeof out_of_range - 1);
    return at + sizeof out_of_range - 1;
}

AAM_INLINE bool is_in_range(int64_t day) { return day >= FIRST_DAY && day <= LAST_DAY; }

AAM_INLINE int64_t floor_divided(int64_t number, int64_t by) { return number / by - (number % by < 0); }

AAM_INLINE uint8_t *put_moment(uint8_t *at, int64_t moment, int64_t in_second, bool zoned) {
    int64_t seconds = floor_divided(moment, in_second), day = floor_divided(seconds, DAY_SECONDS);
    if (!is_in_range(day) || moment == INT64_MIN || moment == INT64_MAX)
        return put_out_of_range(at);
    at = put_day(at, day);
    *at++ = ' ';
    at = put_time(at, seconds - day * DAY_SECONDS, moment - seconds * in_second, in_second);
    *at = 'Z';
    return at + zoned;
}

/* Write a number of 128 bits, given as two halves, with a point before the last `scale` digits. */
AAM_INLINE uint8_t *put_decimal(uint8_t *at, uint64_t low, uint64_t high, int64_t scale) {
    if (high >> 63) {
        *at++ = '-';
        low = -low;
        high = ~high + (low == 0);
    }
    uint8_t digits[DECIMAL_DIGITS + DECIMAL_DIGITS], *end = digits;
    uint32_t limbs[4] = {(uint32_t)(high >> 32), (uint32_t)high, (uint32_t)(low >> 32), (uint32_t)low};
    uint32_t eights[3];
    int32_t count = 0;
    while (limbs[0] | limbs[1]) { /* more than 64 bits are left: eight digits off */
        uint64_t rest = 0;
        for (int32_t limb = 0; limb < 4; limb++) {
            rest = rest << 32 | limbs[limb];
            limbs[limb] = (uint32_t)(rest / AAM_EIGHT);
            rest %= AAM_EIGHT;
        }
        eights[count++] = (uint32_t)rest;
    }
    end = put_number(end, (uint64_t)limbs[2] << 32 | limbs[3]);
    while (count > 0)
        end = put_eight(end, as_text(eight_digits(eights[--count])));
    return put_scaled(at, digits, end - digits, scale, DECIMAL_DIGITS);
}

/* Write a number without an exponent. A whole one of at most `most_whole` digits is followed by a point and a zero. */
AAM_INLINE uint8_t *put_binary(uint8_t *at, struct binary number, bool negative, int64_t most_whole,
                               const uint64_t *powers) {
    *at = '-';
    at += negative;
    struct decimal decimal = {0, 0};
    if (number.exponent != 0 || number.fraction != 0)
        decimal = shortest(number, powers);
    uint64_t words[2 * FLOAT_DIGITS / 8] = {
        eight_digits((uint32_t)(decimal.digits / AAM_EIGHT / AAM_EIGHT)),
        eight_digits((uint32_t)(decimal.digits / AAM_EIGHT % AAM_EIGHT)),
        eight_digits((uint32_t)(decimal.digits % AAM_EIGHT)),
    };
    int32_t first = words[0] != 0 ? 0 : words[1] != 0 ? 1 : 2, last = words[2] != 0 ? 2 : words[1] != 0 ? 1 : 0;
    int64_t zeros = decimal.digits != 0 ? 8 * (2 - last) + last_zeros(words[last]) : 0;
    const uint8_t *start = (const uint8_t *)words + 8 * first + leading_zeros(words[first]);
    for (int32_t word = 0; word < FLOAT_DIGITS / 8; word++)
        words[word] = as_text(words[word]);
    int64_t count = (const uint8_t *)words + FLOAT_DIGITS - zeros - start, exponent = decimal.exponent + zeros;
    if (exponent < 0)
        return put_scaled(at, start, count, -exponent, FLOAT_DIGITS);
    memcpy(at, start, FLOAT_DIGITS);
    at += count;
    for (int64_t zero = 0; zero < exponent; zero++)
        *at++ = '0';
    memcpy(at, ".0", 2);
    return at + (count + exponent <= most_whole ? 2 : 0);
}

AAM_INLINE uint8_t *put_double(uint8_t *at, uint64_t bits, const uint64_t *powers) {
    struct binary number = {bits & ((UINT64_C(1) << 52) - 1), (int32_t)(bits >> 52 & 0x7FF), 52, 1075};
    return number.exponent == 0x7FF ? at : put_binary(at, number, bits >> 63 != 0, 16, powers);
}

AAM_INLINE uint8_t *put_single(uint8_t *at, uint32_t bits, const uint64_t *powers) {
    struct binary number = {bits & ((1u << 23) - 1), (int32_t)(bits >> 23 & 0xFF), 23, 150};
    return number.exponent == 0xFF ? at : put_binary(at, number, bits >> 31 != 0, 13, powers);
}

/* Return the integer at an index, of so many bytes. */
AAM_INLINE int64_t integer_at(const uint8_t *values, int64_t at, int32_t width, bool is_signed) {
    uint64_t number = 0;
    memcpy(&number, values + at * width, (size_t)width);
    int32_t shift = 64 - 8 * width;
    return is_signed ? (int64_t)(number << shift) >> shift : (int64_t)number;
}

/* Write the text of the value at an index; nothing for a number that is not finite. Returns its end. */
AAM_INLINE uint8_t *put_value(uint8_t *text, const struct aam_column *column, int64_t at, int32_t type, int32_t width) {
    if (type == AAM_DECIMAL) {
        uint64_t halves[2];
        memcpy(halves, column->values + at * width, sizeof halves);
        return put_decimal(text, halves[0], halves[1], column->unit);
    }
    const uint64_t *powers = (const uint64_t *)(const void *)column->data;
    int64_t number = integer_at(column->values, at, width, type != AAM_UNSIGNED && type != AAM_FLOAT);
    switch (type) {
    case AAM_SIGNED:
        *text = '-';
        return put_number(text + (number < 0), number < 0 ? -(uint64_t)number : (uint64_t)number);
    case AAM_UNSIGNED:
        return put_number(text, (uint64_t)number);
    case AAM_FLOAT:
        return width == 4 ? put_single(text, (uint32_t)number, powers) : put_double(text, (uint64_t)number, powers);
    case AAM_DATE:
        return put_out_of_range(text);
    case AAM_TIME:
        if (number < 0 || number >= DAY_SECONDS * column->unit)
            return put_out_of_range(text);
        return put_time(text, number / column->unit, number % column->unit, column->unit);
    default:
        return put_moment(text, number, column->unit, type == AAM_UTC);
    }
}

/* Set a view to the text of a number of few digits, which no other number has: those of `scaled`, at most eight, with
   the last `places` of them after the point. */
AAM_INLINE void set_fraction(uint8_t *view, uint32_t scaled, int32_t places, bool is_negative) {
    uint64_t digits = eight_digits(scaled);
    int32_t whole = 8 - places; /* at least one digit is on either side */
    int32_t zeros = (int32_t)first_bit(digits | UINT64_C(1) << 8 * (whole - 1)) / 8;
    int32_t length = 9 - zeros - last_zeros(digits | UINT64_C(1) << 8 * whole);
    digits = as_text(digits);
    uint64_t first = (digits & lowest(8 * whole)) | (uint64_t)'.' << 8 * whole | digits >> 8 * whole << 8 * (whole + 1);
    uint64_t last = digits >> 56;
    first = (first >> 8 * zeros | last << (56 - 8 * zeros) << 8) & lowest(8 * length);
    last = length > 8 ? last : 0;
    set_short(view, (uint64_t)(length + is_negative), is_negative ? first << 8 | '-' : first,
              is_negative ? last << 8 | first >> 56 : last);
}

/* Set a view to the text of a number if it has few digits, and return whether it has. Two decimals of at most 15 digits
   are never the same 64-bit number, nor two of 6 the same one of 32 bits: so there are no shorter digits. */
AAM_INLINE bool set_double(uint8_t *view, double number) {
    double size = __builtin_fabs(number), scale = size < 1e4 ? 1e4 : 1e2;
    if (!(size < 1e6))
        return false;
    uint32_t scaled = (uint32_t)(size * scale + 0.5);
    if ((double)scaled / scale != size)
        return false;
    set_fraction(view, scaled, size < 1e4 ? 4 : 2, __builtin_signbit(number) != 0);
    return true;
}

AAM_INLINE bool set_single(uint8_t *view, float number) {
    float size = __builtin_fabsf(number), scale = size < 1e2f ? 1e4f : 1e2f;
    if (!(size < 1e4f))
        return false;
    uint32_t scaled = (uint32_t)(size * scale + 0.5f);
    if ((float)scaled / scale != size)
        return false;
    set_fraction(view, scaled, size < 1e2f ? 4 : 2, __builtin_signbit(number) != 0);
    return true;
}

/* Set a view to the text of the value at an index, if it is a short one that takes no memory. Returns whether it is. */
AAM_INLINE bool set_value(uint8_t *view, const struct aam_column *column, int64_t at, int32_t type, int32_t width) {
    if (type == AAM_BOOLEAN) {
        static const char words[2][8] = {"false", "true"};
        bool is_true = has_bit(column->values, at);
        uint64_t word;
        memcpy(&word, words[is_true], sizeof word);
        set_short(view, 5 - is_true, word, 0);
        return true;
    }
    if (type == AAM_DATE) {
        int64_t number = integer_at(column->values, at, width, true);
        int64_t day = width == 4 ? number : floor_divided(number, 1000 * DAY_SECONDS);
        uint64_t digits = day_digits(is_in_range(day) ? day : 0);
        set_short(view, 10, day_start(digits), digits >> 48);
        return is_in_range(day);
    }
    if (type == AAM_SIGNED || type == AAM_UNSIGNED) {
        int64_t number = integer_at(column->values, at, width, type == AAM_SIGNED);
        bool is_negative = type == AAM_SIGNED && number < 0;
        uint64_t size = is_negative ? -(uint64_t)number : (uint64_t)number;
        if (size >= AAM_EIGHT)
            return false;
        uint64_t digits = eight_digits((uint32_t)size);
        int32_t zeros = leading_zeros(digits);
        uint64_t text = as_text(digits) >> 8 * zeros;
        set_short(view, (uint64_t)(8 - zeros + is_negative), is_negative ? text << 8 | '-' : text,
                  is_negative ? text >> 56 : 0);
        return true;
    }
    if (type == AAM_FLOAT && width == 8) {
        double number;
        memcpy(&number, column->values + at * width, sizeof number);
        return set_double(view, number);
    }
    if (type == AAM_FLOAT) {
        float number;
        memcpy(&number, column->values + at * width, sizeof number);
        return set_single(view, number);
    }
    return false;
}

/* Make the texts of all rows: a loop of its own for each type and width. */
AAM_INLINE int32_t put_values(const struct aam_column *column, struct aam_texts *texts, int32_t type, int32_t width) {
    uint8_t text[LONGEST_TEXT + INLINE_BYTES], *view = texts->views;
    for (int64_t at = column->start; at < column->start + column->rows; at++, view += VIEW_BYTES) {
        if (column->validity != NULL && !has_bit(column->validity, at))
            memset(view, 0, VIEW_BYTES);
        else if (!set_value(view, column, at, type, width) &&
                 AAM_UNLIKELY(!set_view(view, text, put_value(text, column, at, type, width), texts)))
            return AAM_FULL;
    }
    return AAM_OK;
}

/* Make views of texts between offsets. They count from the first offset. */
AAM_INLINE int32_t view_texts(const struct aam_column *column, struct aam_texts *texts, int32_t width) {
    uint8_t *view = texts->views;
    int64_t base = integer_at(column->values, column->start, width, true), end = base;
    if (base < 0)
        return AAM_MALFORMED;
    for (int64_t at = column->start; at < column->start + column->rows; at++, view += VIEW_BYTES) {
        int64_t start = end;
        end = integer_at(column->values, at + 1, width, true);
        if (AAM_UNLIKELY(end < start || end > column->data_bytes || end - base > INT32_MAX))
            return AAM_MALFORMED;
        uint64_t length = (uint64_t)(end - start), first = 0, others = 0;
        if (column->validity != NULL && !has_bit(column->validity, at))
            length = 0;
        const uint8_t *text = column->data + start;
        if (length > INLINE_BYTES) {
            uint32_t fields[4] = {(uint32_t)length, 0, (uint32_t)texts->buffer, (uint32_t)(start - base)};
            memcpy(&fields[1], text, 4);
            memcpy(view, fields, sizeof fields);
            continue;
        }
        if (AAM_LIKELY(column->data_bytes - start >= INLINE_BYTES)) {
            memcpy(&first, text, 8);
            memcpy(&others, text + 8, 4);
            others &= length > 8 ? lowest(8 * (int64_t)(length - 8)) : 0;
            first &= length < 8 ? lowest(8 * (int64_t)length) : ~UINT64_C(0);
        } else {
            uint8_t copied[INLINE_BYTES] = {0};
            for (uint64_t byte = 0; byte < length; byte++)
                copied[byte] = text[byte];
            memcpy(&first, copied, 8);
            memcpy(&others, copied + 8, 4);
        }
        set_short(view, length, first, others);
    }
    return AAM_OK;
}

/* Gather the views that indices refer to. */
AAM_INLINE int32_t gather_views(const struct aam_column *column, struct aam_texts *texts, int32_t width) {
    uint8_t *view = texts->views;
    uint64_t entries = (uint64_t)(column->data_bytes / VIEW_BYTES);
    for (int64_t at = column->start; at < column->start + column->rows; at++, view += VIEW_BYTES) {
        if (column->validity != NULL && !has_bit(column->validity, at)) {
            memset(view, 0, VIEW_BYTES);
            continue;
        }
        uint64_t index = (uint64_t)integer_at(column->values, at, width, false);
        if (AAM_UNLIKELY(index >= entries))
            return AAM_MALFORMED;
        memcpy(view, column->data + VIEW_BYTES * index, VIEW_BYTES);
    }
    return AAM_OK;
}

/* Whether a call is sound: all values and bits are there, and there is room for the views. */
static bool is_sound(const struct aam_column *column, const struct aam_texts *texts) {
    const int64_t most = INT64_C(1) << 40, all = column->start + column->rows;
    if (column->start < 0 || column->start > most || column->rows < 0 || column->rows > most)
        return false;
    if (column->rows > texts->views_bytes / VIEW_BYTES || texts->buffer < 0 || texts->buffer > INT32_MAX ||
        texts->text_bytes < 0 || texts->text_room > INT32_MAX)
        return false;
    if (column->validity != NULL && (all + 7) / 8 > column->validity_bytes)
        return false;
    int32_t width = column->width;
    switch (column->type) {
    case AAM_BOOLEAN:
        return (all + 7) / 8 <= column->values_bytes;
    case AAM_DECIMAL:
        return width == 16 && all <= column->values_bytes / 16 && column->unit >= 0 && column->unit <= 128;
    case AAM_TEXT:
        return (width == 4 || width == 8) && all < column->values_bytes / width && column->data_bytes >= 0;
    case AAM_INDEX:
    case AAM_SIGNED:
    case AAM_UNSIGNED:
        return (width == 1 || width == 2 || width == 4 || width == 8) && all <= column->values_bytes / width;
    case AAM_FLOAT:
        if (column->data_bytes < 16 * (LAST_POWER - FIRST_POWER + 1) || (uintptr_t)column->data % 8 != 0)
            return false;
        break;
    case AAM_TIME:
    case AAM_MOMENT:
    case AAM_UTC:
        if (column->unit != 1 && column->unit != 1000 && column->unit != 1000000 && column->unit != 1000000000)
            return false;
        break;
    case AAM_DATE:
        break;
    default:
        return false;
    }
    return (width == 4 || width == 8) && all <= column->values_bytes / width;
}

/* Make the texts of some rows of a column, empty where a value is missing. AAM_FULL: call again with more room for long
   texts. */
AAM_ENTRY(column_texts)(const struct aam_column *column, struct aam_texts *texts) {
    if (!is_sound(column, texts))
        return AAM_MALFORMED;
#define CASE(type, width, call) \
    case 16 * type + width: \
        return call;
#define VALUES(type, width) CASE(type, width, put_values(column, texts, type, width))
    switch (column->type == AAM_BOOLEAN ? 16 * AAM_BOOLEAN : 16 * column->type + column->width % 16) {
        CASE(AAM_TEXT, 4, view_texts(column, texts, 4))
        CASE(AAM_TEXT, 8, view_texts(column, texts, 8))
        CASE(AAM_INDEX, 1, gather_views(column, texts, 1))
        CASE(AAM_INDEX, 2, gather_views(column, texts, 2))
        CASE(AAM_INDEX, 4, gather_views(column, texts, 4))
        CASE(AAM_INDEX, 8, gather_views(column, texts, 8))
        CASE(AAM_DECIMAL, 0, put_values(column, texts, AAM_DECIMAL, 16))
        VALUES(AAM_BOOLEAN, 0)
        VALUES(AAM_SIGNED, 1)
        VALUES(AAM_SIGNED, 2)
        VALUES(AAM_SIGNED, 4)
        VALUES(AAM_SIGNED, 8)
        VALUES(AAM_UNSIGNED, 1)
        VALUES(AAM_UNSIGNED, 2)
        VALUES(AAM_UNSIGNED, 4)
        VALUES(AAM_UNSIGNED, 8)
        VALUES(AAM_FLOAT, 4)
        VALUES(AAM_FLOAT, 8)
        VALUES(AAM_DATE, 4)
        VALUES(AAM_DATE, 8)
        VALUES(AAM_TIME, 4)
        VALUES(AAM_TIME, 8)
        VALUES(AAM_MOMENT, 4)
        VALUES(AAM_MOMENT, 8)
        VALUES(AAM_UTC, 4)
        VALUES(AAM_UTC, 8)
    }
    return AAM_MALFORMED;
}
