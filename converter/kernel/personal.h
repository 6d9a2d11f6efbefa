/* Which texts may be personal data without an at sign, and have to be judged with care.

   All that `columns.privacy` takes for personal data is found; most else is not, and nearly all of that is cleared by
   its few digits. AAM_SLACK bytes after a text must be readable. */
#ifndef AAM_PERSONAL_H
#define AAM_PERSONAL_H

#include "vector.h"

enum {
    LEAST_PERSONAL = 7,      /* bytes of personal data without an at sign */
    FEW_DIGITS = 4,          /* it has no fewer digits, unless it is an IP address */
    LEAST_PHONE = 6,         /* digits */
    MOST_SCHEME = 20,        /* bytes in which the colon of `whatsapp:` is, and of others before a plus sign */
    LEAST_CARD = 13,         /* digits */
    MOST_CARD = 19,
    LEAST_IBAN = 15,         /* bytes */
    MOST_IBAN = 34,          /* letters and digits */
    SSN_DIGITS = 9,
    SSN_SHAPE = 0b11110110111, /* where digits are in a social security number, the first one lowest */
};

/* Whether a byte of ASCII may stand between the digits of a phone number. */
AAM_INLINE bool is_gap(uint8_t byte) {
    return byte == ' ' || byte == '.' || byte == '/' || byte == '(' || byte == ')' || byte == '-';
}

/* Whether the digits of a text have the check digit of a card's number (ISO/IEC 7812-1). */
static bool has_check_digit(const uint8_t *start, int64_t length) {
    int total = 0, digits = 0;
    for (int64_t at = length - 1; at >= 0; at--) {
        if (!is_digit(start[at]))
            continue;
        int digit = start[at] - '0';
        if (digits++ & 1)
            digit += digit < 5 ? digit : digit - 9;
        total += digit;
    }
    return total % 10 == 0;
}

/* Whether a text begins like the number of a bank account: a country, and a digit of the two that check it. */
static bool begins_account(const uint8_t *start) {
    for (int at = 0; at < 2; at++)
        if ((uint8_t)((start[at] | 32) - 'a') > 25)
            return false;
    return is_digit(start[2]) || (start[2] == ' ' && is_digit(start[3]));
}

/* Whether a byte is a letter or a digit of ASCII: others may stand around personal data. */
AAM_INLINE bool is_alphanumeric(uint8_t byte) { return is_digit(byte) || (uint8_t)((byte | 32) - 'a') < 26; }

/* Whether a byte is punctuation of ASCII that may stand around personal data. */
AAM_INLINE bool is_mark(uint8_t byte) {
    return byte == '\'' || byte == '"' || byte == '`' || byte == ';' || byte == ',' || byte == '.' || byte == '!' ||
           byte == '?';
}

/* The bits of a text without marks and blanks around it, and without the `.0` of a float at its end. */
static uint64_t inner(const uint8_t *start, int64_t length) {
    int64_t first = 0, last = length;
    while (first < last && (is_mark(start[first]) || start[first] <= ' '))
        first++;
    while (last > first && (is_mark(start[last - 1]) || start[last - 1] <= ' '))
        last--;
    if (last - first > LEAST_CARD && start[last - 2] == '.' && start[last - 1] == '0')
        last -= 2;
    return lowest(last) & ~lowest(first);
}

/* The same question about a text longer than a window: an address anywhere inside, or digits far apart. */
static bool may_be_long_personal(const uint8_t *start, int64_t length) {
    uint8_t first = start[0], last = start[length - 1];
    if (first <= ' ' || last <= ' ' || first > 127 || last > 127 || is_mark(first)) /* with more around it */
        return true;
    if (first == '(' || first == '+' || (first == '0' && start[1] == '0') || begins_account(start))
        return true;
    if ((equal(start, ':') & lowest(MOST_SCHEME)) != 0)
        return true;
    bool begins_number = is_digit(first); /* between whose digits others may be that are not seen */
    for (; length > 0; start += AAM_WINDOW, length -= AAM_WINDOW) {
        uint64_t hidden = begins_number ? at_least(start, 0x80) : equal(start, 0xEF);
        if (((equal(start, '%') | hidden) & lowest(length)) != 0)
            return true;
    }
    return false;
}

/* Whether a text has the form of any personal data: what `may_be_personal` cannot decide at a glance. */
static bool has_personal_form(const uint8_t *start, int64_t length, bool cards) {
    uint64_t own = lowest(length), all = own;
    uint64_t digits = within(start, '0', '9') & own;
    int64_t count = count_bits(digits);
    uint64_t colons = equal(start, ':') & own;
    uint64_t percents = equal(start, '%') & own;
    /* Between all others, there may be characters that nobody sees. */
    if ((at_least(start, 0x80) & own) != 0 && (count >= FEW_DIGITS || percents != 0 || (colons & (colons - 1)) != 0))
        return true;
    if ((percents & digits >> 1) != 0) /* a percent-encoded at sign */
        return true;
    if ((colons & colons >> 1) != 0 || count_bits(colons) >= 6) /* an IPv6 address */
        return true;
    if ((equal(start, 0xEF) & own) != 0) /* at signs of other widths begin so */
        return true;
    if (count < FEW_DIGITS)
        return false;
    own = inner(start, length);
    uint64_t blanks = ~at_least(start, ' ' + 1) & own;
    uint64_t hyphens = equal(start, '-') & own;
    uint64_t letters = (within(start, 'a', 'z') | within(start, 'A', 'Z')) & own;
    if (count >= LEAST_PHONE) {
        uint64_t signs = (equal(start, '+') | equal(start, '(')) & own;
        if (signs != 0 || (colons != 0 && letters != 0)) /* also as in `tel:` */
            return true;
        int64_t first = first_bit(own);
        bool zeros = start[first] == '0' && start[first + 1] == '0' && start[first + 2] != '0'; /* 00 49 30 ... */
        uint64_t after = all & ~digits & ~lowest(first + 2);
        if (zeros && after != 0 && is_gap(start[first_bit(after)]))
            return true;
    }
    digits &= own, count = count_bits(digits);
    uint64_t dots = equal(start, '.') & own;
    if ((digits | blanks | hyphens | dots) == own) {
        int64_t width = count_bits(own);
        if (count >= LEAST_CARD && count <= MOST_CARD && (cards || count < width) &&
            has_check_digit(start + first_bit(own), width))
            return true;
        if (count == SSN_DIGITS && digits >> first_bit(digits) == SSN_SHAPE)
            return true;
    }
    if ((digits | blanks | dots | (colons & own)) == own && count_bits(dots) == 3) /* an IPv4 address, with a port */
        return true;
    if (length < LEAST_IBAN || letters == 0 || (digits | blanks | letters) != own)
        return false;
    return count_bits(digits | letters) <= MOST_IBAN && begins_account(start + first_bit(own));
}

/* Digits, colons, percent signs, and the byte that at signs of other widths begin with. */
AAM_INLINE uint64_t telling_in(const uint8_t *start) {
    aam_bytes text = load(start);
    return bits_of((aam_truths)(((aam_bytes)(text - '0') <= 10) | (text == '%') | (text == 0xEF)));
}

AAM_INLINE uint64_t telling_in_half(const uint8_t *start) {
    aam_half_bytes text = load_half(start);
    return half_bits_of((aam_half_truths)(((aam_half_bytes)(text - '0') <= 10) | (text == '%') | (text == 0xEF)));
}

AAM_INLINE uint64_t digits_in_half(const uint8_t *start) {
    return half_bits_of((aam_half_truths)((aam_half_bytes)(load_half(start) - '0') <= 9));
}

/* Plus signs, opening brackets and what is not ASCII. */
AAM_INLINE uint64_t signs_in(const uint8_t *start) {
    aam_bytes text = load(start);
    return bits_of((aam_truths)((text >= 0x80) | (text == '(') | (text == '+')));
}

AAM_INLINE uint64_t signs_in_half(const uint8_t *start) {
    aam_half_bytes text = load_half(start);
    return half_bits_of((aam_half_truths)((text >= 0x80) | (text == '(') | (text == '+')));
}

/* Whether a text may be personal data. `cards` says whether a bare number may be that of a card. */
AAM_INLINE bool may_be_personal(const uint8_t *start, int64_t length, bool cards) {
    if (length > AAM_WINDOW)
        return may_be_long_personal(start, length);
    uint64_t own = lowest(length);
    bool is_short = length <= AAM_HALF;
    uint64_t telling = (is_short ? telling_in_half(start) : telling_in(start)) & own;
    if (telling == 0)
        return false;
    if (telling == ((is_short ? digits_in_half(start) : within(start, '0', '9')) & own)) {
        int64_t count = count_bits(telling);
        if (count < FEW_DIGITS)
            return false;
        uint8_t first = start[0], last = start[length - 1];
        bool is_plain = count < LEAST_CARD && count != SSN_DIGITS && length < LEAST_IBAN && length - count < 3 /* dots */
                        && is_alphanumeric(first) && last > ' ' && (first != '0' || count == length);
        if (is_plain && ((is_short ? signs_in_half(start) : signs_in(start)) & own) == 0)
            return false;
    }
    return has_personal_form(start, length, cards);
}

#endif
