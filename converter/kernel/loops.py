"""The loops over bytes, to be compiled (`build.py`): where rows of delimited text end, and how rows become lines.

Only this module handles single bytes, and it knows nothing of jobs, files or rules: tables (`layout.py`) say what to
write, and every row that is not plain beyond doubt is irregular and left to the caller.

Everything is an integer, addresses too. The references of arrays would be counted at every call, which costs more than
the work, and the compiled code would need numba's own library. Text is read in vectors of bytes, and each test gives
one bit a byte; LLVM chooses the width of the vectors of a machine.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from llvmlite import ir
from numba import int64, njit, types, uint8, uint64
from numba.extending import intrinsic

from converter.kernel.layout import (
    BAD_BYTE,
    CARDS,
    CHANGED,
    CODES,
    COLUMN,
    CONSTANT,
    END,
    ENDS,
    FIELDS,
    ID_BYTES,
    ID_COLUMN,
    ID_LENGTH,
    ID_NOT_ZERO,
    ID_SCAN,
    ID_SHAPE,
    INNER,
    IRREGULAR,
    IRREGULAR_BYTES,
    IRREGULAR_ROW,
    IRREGULAR_TEXT,
    KIND,
    LEFT_OUT,
    LINE,
    LINES,
    MADE,
    MARK,
    MISSING,
    MOST_LINE,
    PAIR,
    POSITION,
    PREFIX,
    PREFIX_BYTES,
    REGULAR,
    ROOM,
    ROW_COUNT,
    ROWS,
    SCAN,
    SCRATCH,
    SIGNAL,
    SIGNAL_COUNT,
    SIGNALS,
    SPECIAL,
    TEXT_LINE,
    TRAITS,
    VIEWS,
    WIDEST,
    WRITTEN,
)

JUDGING = True
"""Whether rows are judged. A benchmark compiles loops for which every row is plain, to measure the rules."""

_WINDOW = 64
_SHORT = 16  # nearly all values are no longer
_PAGE = 4096  # memory can be read up to the end of a page of which any byte can be read
_INLINE = 12  # bytes: shorter texts are stored in the string view itself
_LONG = 8  # bytes of an integer in a table
_PERSONAL = 7  # personal data without an at sign has no fewer bytes,
_FEW_DIGITS = 4  # and no fewer digits, unless it is an address
_PHONE = 6  # digits of a phone number, at least
_SCHEME = 10  # bytes in which the colon of `callto:` is
_CARD = 13, 19  # digits of the number of a card
_IBAN = 15  # bytes of the number of a bank account, at least
_SSN_DIGITS = 9
_SSN = 0b11110110111  # where digits are in a social security number, the first one lowest

_ONE = np.uint64(1)
_NONE = np.uint64(0)
_ALL = ~_NONE


# Reading and writing memory, as LLVM instructions, since numba has no function for it.


def _vector(builder, address, count=_WINDOW):
    return builder.load(builder.inttoptr(address, ir.VectorType(ir.IntType(8), count).as_pointer()), align=1)


def _each(builder, byte, like):
    """Return a vector of the same byte: a constant, or a value."""
    if isinstance(byte, int):
        return ir.Constant(like.type, [byte] * like.type.count)
    undefined = ir.Constant(like.type, ir.Undefined)
    first = builder.insert_element(undefined, byte, ir.Constant(ir.IntType(32), 0))
    positions = ir.Constant(ir.VectorType(ir.IntType(32), like.type.count), [0] * like.type.count)
    return builder.shuffle_vector(first, undefined, positions)


def _is(builder, how, vector, byte):
    return builder.icmp_unsigned(how, vector, _each(builder, byte, vector))


def _any(builder, *truths):
    return reduce(builder.or_, truths)


def _bits(builder, truths):
    """Return booleans as the bits of an integer, the first one lowest."""
    bits = builder.bitcast(truths, ir.IntType(truths.type.count))
    return bits if truths.type.count == _WINDOW else builder.zext(bits, ir.IntType(_WINDOW))


@intrinsic
def _structure(context, address, separator):
    """Mark the separators, double quotes, newlines and carriage returns in a window."""

    def generate(context, builder, signature, arguments):
        vector = _vector(builder, arguments[0])
        return _bits(builder, _any(builder, *(_is(builder, "==", vector, byte) for byte in (arguments[1], 34, 10, 13))))

    return types.uint64(types.int64, types.uint8), generate


@intrinsic
def _marks(context, address, mark):
    """Mark a byte in a window."""

    def generate(context, builder, signature, arguments):
        return _bits(builder, _is(builder, "==", _vector(builder, arguments[0]), arguments[1]))

    return types.uint64(types.int64, types.uint8), generate


@intrinsic
def _at_least(context, address, byte):
    """Mark the bytes of a window that are as high as one, or higher."""

    def generate(context, builder, signature, arguments):
        return _bits(builder, _is(builder, ">=", _vector(builder, arguments[0]), arguments[1]))

    return types.uint64(types.int64, types.uint8), generate


@intrinsic
def _not_digits(context, address):
    """Mark the bytes of a window that are no digits."""

    def generate(context, builder, signature, arguments):
        vector = _vector(builder, arguments[0])
        return _bits(builder, _is(builder, ">", builder.sub(vector, _each(builder, 48, vector)), 9))

    return types.uint64(types.int64), generate


def _marker(window, marks):
    """Return a function that marks bytes of a window; `marks` gives booleans for a vector."""

    @intrinsic
    def mark(context, address):
        def generate(context, builder, signature, arguments):
            return _bits(builder, marks(builder, _vector(builder, arguments[0], window)))

        return types.uint64(types.int64), generate

    return mark


def _digit_marks(builder, vector):
    return _is(builder, "<=", builder.sub(vector, _each(builder, 48, vector)), 9)


def _telling_marks(builder, vector):
    """Mark digits, colons, percent signs, and the byte that at signs of other widths begin with."""
    to_colon = _is(builder, "<=", builder.sub(vector, _each(builder, 48, vector)), 10)
    return _any(builder, to_colon, *(_is(builder, "==", vector, byte) for byte in (37, 0xEF)))


def _sign_marks(builder, vector):
    """Mark plus signs, opening brackets and what is not ASCII."""
    beyond = _is(builder, ">=", vector, 0x80)
    return _any(builder, beyond, *(_is(builder, "==", vector, byte) for byte in (40, 43)))


_HALF = _WINDOW // 2
_digits, _digits_half = _marker(_WINDOW, _digit_marks), _marker(_HALF, _digit_marks)
_telling, _telling_half = _marker(_WINDOW, _telling_marks), _marker(_HALF, _telling_marks)
_signs, _signs_half = _marker(_WINDOW, _sign_marks), _marker(_HALF, _sign_marks)


@intrinsic
def _not_letters(context, address):
    """Mark the bytes of a window that are no ASCII letters."""

    def generate(context, builder, signature, arguments):
        vector = _vector(builder, arguments[0])
        lower = builder.or_(vector, _each(builder, 32, vector))
        return _bits(builder, _is(builder, ">", builder.sub(lower, _each(builder, 97, vector)), 25))

    return types.uint64(types.int64), generate


@intrinsic
def _not_codes(context, address):
    """Mark the bytes of a window that no code of a list may contain: commas, quotes, and all except visible ASCII."""

    def generate(context, builder, signature, arguments):
        vector = _vector(builder, arguments[0])
        visible = builder.sub(vector, _each(builder, 0x21, vector))
        outside = _is(builder, ">", visible, 0x7E - 0x21)
        return _bits(builder, _any(builder, outside, *(_is(builder, "==", vector, byte) for byte in (34, 44))))

    return types.uint64(types.int64), generate


@intrinsic
def _special(context, address, other):
    """Mark the control characters, double quotes, at signs and one other byte in a window."""

    def generate(context, builder, signature, arguments):
        vector = _vector(builder, arguments[0])
        control = _is(builder, "<", vector, 32)
        return _bits(
            builder, _any(builder, control, *(_is(builder, "==", vector, byte) for byte in (34, 64, arguments[1])))
        )

    return types.uint64(types.int64, types.uint8), generate


@intrinsic
def _copy_short(context, target, source):
    """Copy 16 bytes."""

    def generate(context, builder, signature, arguments):
        vector = _vector(builder, arguments[1], _SHORT)
        builder.store(vector, builder.inttoptr(arguments[0], vector.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _reader(bits, type_):
    @intrinsic
    def read(context, address):
        def generate(context, builder, signature, arguments):
            return builder.load(builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer()), align=1)

        return type_(types.int64), generate

    return read


def _writer(bits, type_):
    @intrinsic
    def write(context, address, value):
        def generate(context, builder, signature, arguments):
            builder.store(arguments[1], builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, type_), generate

    return write


_byte, _put_byte = _reader(8, types.uint8), _writer(8, types.uint8)
_half = _reader(32, types.uint32)
_long, _put_long = _reader(64, types.int64), _writer(64, types.int64)


@intrinsic
def _first(context, bits):
    """Return the index of the lowest bit; there must be one."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def _count(context, bits):
    """Count the bits that are set."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@njit(inline="always")
def _of(table, position):
    """Return an integer of a table."""
    return _long(table + _LONG * position)


@njit(inline="always")
def _set(table, position, value):
    _put_long(table + _LONG * position, value)


@njit(inline="always")
def _lowest(count):
    """Return a mask of so many of the lowest bits, at most 64."""
    return (_ONE << uint64(count)) - _ONE if count < _WINDOW else _ALL


@njit(inline="always")
def _next(window, bits, end, separator):
    """Return the next mark, `end` or later where there is none, its window, and the marks left of that."""
    while bits == _NONE and window < end:
        window += _WINDOW
        bits = _structure(window, separator)
    if bits == _NONE:
        return end, window, bits
    return window + _first(bits), window, bits & (bits - _ONE)


@njit(inline="always")
def _copy(target, source, length):
    """Copy a text that some bytes follow; return the address after it."""
    end = target + length
    while target < end:
        _copy_short(target, source)
        target += _SHORT
        source += _SHORT
    return end


@njit(inline="always")
def _copy_exactly(target, source, length):
    """Copy a text, and no byte after it."""
    offset = int64(0)
    while offset + _SHORT <= length:
        _copy_short(target + offset, source + offset)
        offset += _SHORT
    while offset < length:
        _put_byte(target + offset, _byte(source + offset))
        offset += 1


@njit(inline="always")
def _move_on(start, length, shift):
    """Move a text to a higher address; the memory may overlap."""
    offset = length
    while offset >= _SHORT:
        offset -= _SHORT
        _copy_short(start + shift + offset, start + offset)
    while offset > 0:
        offset -= 1
        _put_byte(start + shift + offset, _byte(start + offset))


@njit(inline="always")
def _copy_value(target, source, length):
    """Copy a text without touching the memory behind it; return the address after it."""
    end = target + length
    while length > _SHORT:
        _copy_short(target, source)
        target += _SHORT
        source += _SHORT
        length -= _SHORT
    if (source & (_PAGE - 1)) <= _PAGE - _SHORT:
        _copy_short(target, source)
    else:
        for offset in range(length):
            _put_byte(target + offset, _byte(source + offset))
    return end


@njit(inline="always")
def _special_bytes(start, end, other):
    """Count the special bytes of a text that some bytes follow: control characters, quotes, at signs and one other."""
    count = int64(0)
    while start < end:
        count += _count(_special(start, other) & _lowest(end - start))
        start += _WINDOW
    return count


@njit(inline="always")
def _copy_items(target, source, length, signal, scratch, wrong_bytes):
    """Copy a list, with the prefix before each item; return the address after it, wrong bytes, and the item count."""
    mark = uint8(_of(signal, MARK))
    prefix, prefix_bytes = _of(signal, PREFIX), _of(signal, PREFIX_BYTES)
    wrong = _NONE
    items = 1
    empty = True  # whether the current item is empty so far
    while length > 0:
        here = min(length, _WINDOW)
        if (source & (_PAGE - 1)) <= _PAGE - _WINDOW:
            text = source
        else:
            text = scratch
            for offset in range(here):
                _put_byte(text + offset, _byte(source + offset))
        marks = _marks(text, mark) & _lowest(here)
        if JUDGING:
            wrong |= wrong_bytes(text) & ~marks & _lowest(here)
        start = 0
        while marks != _NONE:
            stop = _first(marks)
            marks &= marks - _ONE
            if stop > start:
                empty = False
            elif empty and JUDGING:
                wrong = _ONE
            target = _copy(target, text + start, stop - start)
            _put_byte(target, 44)
            target = _copy(target + 1, prefix, prefix_bytes)
            items += 1
            empty = True
            start = stop + 1
        if start < here:
            target = _copy(target, text + start, here - start)
            empty = False
        source += here
        length -= here
    if empty and JUDGING:
        wrong = _ONE
    return target, wrong, items


@njit
def _luhn(start, length):
    """Return whether the digits of a text have the check digit of a payment card number."""
    total = digits = int64(0)
    for back in range(length):
        digit = int64(_byte(start + length - 1 - back)) - 48
        if 0 <= digit <= 9:
            if digits & 1:
                digit += digit if digit < 5 else digit - 9
            total += digit
            digits += 1
    return total % 10 == 0


@njit(inline="always")
def _is_digit(byte):
    return (byte >= 48) & (byte <= 57)


@njit
def _begins_account(start):
    """Return whether a text begins like a bank account number: a country code, and the first of two check digits."""
    for position in range(2):
        if not 97 <= (_byte(start + position) | 32) <= 122:
            return False
    third = _byte(start + 2)
    return bool(_is_digit(third) | ((third == 32) & _is_digit(_byte(start + 3))))


@njit
def _may_be_long_personal(start, length):
    """Return the same for a text longer than a window: an address anywhere in it, or a number with many spaces."""
    first, last = _byte(start), _byte(start + length - 1)
    if min(first, last) <= 32 or max(first, last) > 127:  # with spaces around it
        return True
    if first == 40 or first == 43 or (first == 48 and _byte(start + 1) == 48) or _begins_account(start):
        return True
    if _marks(start, uint8(58)) & _lowest(_SCHEME) != _NONE:
        return True
    while length > 0:
        if (_marks(start, uint8(37)) | _marks(start, uint8(0xEF))) & _lowest(length) != _NONE:
            return True
        start += _WINDOW
        length -= _WINDOW
    return False


@njit
def _has_form_of_personal(start, length, cards):
    """Return whether a text has the form of personal data, where `_may_be_personal` could not exclude it quickly."""
    own = _lowest(length)
    digits = _digits(start) & own
    count = _count(digits)
    colons = _marks(start, uint8(58)) & own
    percents = _marks(start, uint8(37)) & own
    if (percents & (digits >> _ONE)) != _NONE:  # an encoded at sign
        return True
    if (colons & (colons >> _ONE)) != _NONE or _count(colons) >= 6:  # an address of version 6
        return True
    if _marks(start, uint8(0xEF)) & own != _NONE:  # at signs of other widths begin with this byte
        return True
    if count < _FEW_DIGITS:
        return False
    if _at_least(start, uint8(0x80)) & own != _NONE:  # for example spaces of Unicode
        return True
    blanks = ~_at_least(start, uint8(33)) & own
    hyphens = _marks(start, uint8(45)) & own
    letters = ~_not_letters(start) & own
    if count >= _PHONE:
        signs = _marks(start, uint8(43)) | _marks(start, uint8(40))
        if signs & own != _NONE or (colons != _NONE and letters != _NONE):  # also as in `tel:`
            return True
        first = _first(digits)
        zeros = _byte(start + first) == 48 and _byte(start + first + 1) == 48  # 00 49 30 …
        if zeros and count < length and blanks & _lowest(first) == _lowest(first):
            return True
    if digits | blanks | hyphens == own:
        if _CARD[0] <= count <= _CARD[1] and (cards or count < length) and _luhn(start, length):
            return True
        if count == _SSN_DIGITS and digits >> uint64(_first(digits)) == uint64(_SSN):
            return True
    dots = _marks(start, uint8(46)) & own
    if digits | blanks | dots == own and _count(dots) == 3:
        return True
    if length >= _IBAN and letters != _NONE and digits | blanks | letters == own:
        return _begins_account(start + _first(letters))
    return False


@njit(inline="always")
def _may_be_personal(start, length, cards):
    """Return whether a text that some bytes follow may be personal data without an at sign, which the query must judge.

    `cards` is whether a bare number may be that of a payment card. The result is true for all texts that are personal
    data for `columns.privacy`, and false for nearly all others: most have too few digits.
    """
    if length > _WINDOW:
        return _may_be_long_personal(start, length)
    own = _lowest(length)
    is_short = length <= _HALF
    marks = (_telling_half(start) if is_short else _telling(start)) & own
    if marks == _NONE:
        return False
    if marks == (_digits_half(start) if is_short else _digits(start)) & own:
        count = _count(marks)
        if count < _FEW_DIGITS:
            return False
        first, last = _byte(start), _byte(start + length - 1)
        is_plain = (
            (count < _CARD[0])
            & (count != _SSN_DIGITS)
            & (length < _IBAN)
            & (length - count != 3)  # dots
            & (first > 32)
            & (last > 32)
            & ((first != 48) | (count == length))
        )
        if is_plain and (_signs_half(start) if is_short else _signs(start)) & own == _NONE:
            return False
    return _has_form_of_personal(start, length, cards)


@njit
def _line(form, fields, target, limit, scratch):
    """Write the line of a row; return the address after it, and the counts of its signals and missing values.

    The last item is whether the case of the ID was changed. An address of 0 means that the row is irregular.
    """
    irregular = int64(0), int64(0), int64(0), int64(0)
    field = fields + 2 * _LONG * _of(form, ID_COLUMN)
    start, length = _of(field, 0), _of(field, 1)
    if length == 0 or target + length + _WINDOW > limit:
        return irregular
    table = _of(form, ID_BYTES)
    changed = uint8(0)
    for offset in range(length):
        byte = _byte(start + offset)
        mapped = _byte(table + byte)
        changed |= byte ^ mapped
        _put_byte(target + offset, mapped)
    scan = _of(form, ID_SCAN)
    if JUDGING and scan and length >= _PERSONAL and _may_be_personal(target, length, scan == CARDS):
        return irregular
    if JUDGING and _of(form, ID_NOT_ZERO):
        zeros = True
        for offset in range(length):
            byte = _byte(target + offset)
            zeros &= (byte == 48) | (byte == 45)
        if zeros:
            return irregular
    if JUDGING and _of(form, ID_LENGTH):
        if length != _of(form, ID_LENGTH):
            return irregular
        shape = _of(form, ID_SHAPE)
        for offset in range(length):
            if (_byte(target + offset) == 45) != (_byte(shape + offset) == 45):
                return irregular
    at = target + length
    _put_byte(at, 9)
    at += 1
    signals = missing = int64(0)
    special = int64(1)  # the tab
    wrong = _NONE
    widest, other = _of(form, WIDEST), uint8(_of(form, BAD_BYTE))
    signal = _of(form, SIGNALS)
    signals_end = signal + SIGNAL * _LONG * _of(form, SIGNAL_COUNT)
    while signal < signals_end:
        kind = _of(signal, KIND)
        field = fields + 2 * _LONG * _of(signal, COLUMN)
        start, length = _of(field, 0), _of(field, 1)
        if kind == CONSTANT:
            length = 0
        elif length == 0:
            missing += kind == PAIR
            signal += SIGNAL * _LONG
            continue
        if at + (length + 1) * widest + 2 * _WINDOW > limit:
            return irregular
        at = _copy(at, _of(signal, PREFIX), _of(signal, PREFIX_BYTES))
        items = int64(1)
        if kind == PAIR:
            at = _copy_value(at, start, length)
            if JUDGING and length >= _PERSONAL and _of(signal, SCAN) and _may_be_personal(at - length, length, True):
                return irregular
            _put_byte(at, 34)
            at += 1
        elif kind == TRAITS:  # one loop each: in a common one, LLVM would choose between vectors for every byte
            at, wrong_items, items = _copy_items(at, start, length, signal, scratch, _not_digits)
            wrong |= wrong_items
        elif kind == CODES:
            at, wrong_items, items = _copy_items(at, start, length, signal, scratch, _not_codes)
            wrong |= wrong_items
        signals += items
        special += items * _of(signal, SPECIAL)
        _put_byte(at, 44)  # the newline replaces the last one
        at += 1
        signal += SIGNAL * _LONG
    if signals == 0:
        return irregular
    if JUDGING and (wrong != _NONE or at - target > _of(form, MOST_LINE)):
        return irregular
    # A special byte more than there are around the values is in one of them, or in the ID, where a NUL stands for
    # what no plain ID holds. The last comma is not yet a newline.
    if JUDGING and _special_bytes(target, at, other) != special:
        return irregular
    _put_byte(at - 1, 10)
    return at, signals, missing, int64(changed != 0)


@njit(inline="always")
def _report(output, rows, made, left_out, written, missing, changed):
    """Write the counts of a call into the table of its results."""
    _set(output, ROWS, rows)
    _set(output, MADE, made)
    _set(output, LEFT_OUT, left_out)
    _set(output, WRITTEN, written)
    _set(output, MISSING, missing)
    _set(output, CHANGED, changed)


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def whole_rows(text, size, separator, result):
    """Find the rows that end within the first `size` bytes of a text that begins at the start of a row.

    Writes to `result` (`WHOLE_ROWS`) where the last of them ends, their number, the number of newlines inside quotes,
    and whether the quoting is regular: every opening quote begins a field, and every closing one ends it. Only the rows
    before an irregular quote are counted.
    """
    end = text + size
    window, bits = text, _structure(text, uint8(34))
    row = text
    rows = inner = inner_before = int64(0)
    regular = int64(1)
    while True:
        mark, window, bits = _next(window, bits, end, uint8(34))
        if mark >= end:
            break
        byte = _byte(mark)
        if byte == 13:
            continue
        if byte == 10:
            rows += 1
            row = mark + 1
            inner_before = inner
            continue
        if mark != row and _byte(mark - 1) != separator:
            regular = 0
            break
        while True:  # inside quotes
            mark, window, bits = _next(window, bits, end, uint8(34))
            if mark + 1 >= end:
                break
            byte = _byte(mark)
            if byte == 34:
                if _byte(mark + 1) != 34:
                    break
                mark, window, bits = _next(window, bits, end, uint8(34))
            elif byte == 10:
                inner += 1
        if mark + 1 >= end:  # the next byte is not known yet
            break
        after = _byte(mark + 1)
        if after == 13 and mark + 2 >= end:
            break
        if after != separator and after != 10 and (after != 13 or _byte(mark + 2) != 10):
            regular = 0
            break
    _set(result, END, row - text)
    _set(result, ROW_COUNT, rows)
    _set(result, INNER, inner_before)
    _set(result, REGULAR, regular)
    return 0


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def is_utf8(text, size):
    """Return whether a text is UTF-8: every first byte of a character is followed by as many bytes as it requires.

    The well-formed byte sequences are those of table 3-7 of the Unicode standard.
    """
    end = text + size
    pending = wrong = _NONE  # pending are the bytes that must go on with a character of the window before
    window = text
    while window < end:
        if (_at_least(window, uint8(0x80)) | pending) == _NONE:
            window += _WINDOW
            continue
        own = _lowest(end - window)
        high = _at_least(window, uint8(0x80)) & own
        two = _at_least(window, uint8(0xC0)) & own
        three = _at_least(window, uint8(0xE0)) & own
        four = _at_least(window, uint8(0xF0)) & own
        following = (two << _ONE) | (three << uint64(2)) | (four << uint64(3)) | pending
        wrong |= following ^ (high & ~two)
        wrong |= two & ~_at_least(window, uint8(0xC2)) & own  # an overlong form
        if three != _NONE:
            after = window + 1
            wrong |= _marks(window, uint8(0xE0)) & own & ~_at_least(after, uint8(0xA0))  # an overlong form
            wrong |= _marks(window, uint8(0xED)) & own & _at_least(after, uint8(0xA0))  # a surrogate
            wrong |= _marks(window, uint8(0xF0)) & own & ~_at_least(after, uint8(0x90))  # an overlong form
            wrong |= _marks(window, uint8(0xF4)) & own & _at_least(after, uint8(0x90))  # beyond Unicode
            wrong |= _at_least(window, uint8(0xF5)) & own
        pending = (two >> uint64(63)) | (three >> uint64(62)) | (four >> uint64(61))
        if wrong != _NONE:
            return 0
        window += _WINDOW
    return 1 if pending == _NONE else 0


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def delimited_lines(text, size, separator, columns, form, output):
    """Turn the rows of a text, as `whole_rows` counts them, into lines; irregular rows are set apart.

    Irregular are also rows with too few or too many fields, blank lines, and rows with a carriage return inside. The
    text of all irregular rows is written to `IRREGULAR_TEXT`.
    """
    lines, limit = _of(output, LINES), _of(output, LINES) + _of(output, ROOM)
    ends, fields, scratch = _of(output, ENDS), _of(output, FIELDS), _of(output, SCRATCH)
    irregular, irregular_text = _of(output, IRREGULAR), _of(output, IRREGULAR_TEXT)
    end = text + size
    separator = uint8(separator)
    window, bits = text, _structure(text, separator)
    position, target = text, lines
    rows = made = left_out = newlines = irregular_newlines = written = missing_values = changed_ids = int64(0)
    while position < end:
        row, row_newlines = position, newlines
        is_irregular = False
        column = int64(0)
        while True:  # a field
            start = position
            mark, window, bits = _next(window, bits, end, separator)
            byte = _byte(mark)
            if byte == 34 and mark == start:
                start += 1
                while True:
                    mark, window, bits = _next(window, bits, end, separator)
                    byte = _byte(mark)
                    if byte == 34:
                        if _byte(mark + 1) != 34:
                            break
                        mark, window, bits = _next(window, bits, end, separator)
                    newlines += byte == 10
                length = mark - start
                mark, window, bits = _next(window, bits, end, separator)
                byte = _byte(mark)
            else:
                while byte == 13 and _byte(mark + 1) != 10:
                    is_irregular = True
                    mark, window, bits = _next(window, bits, end, separator)
                    byte = _byte(mark)
                length = mark - start
            if column < columns:
                _set(fields, 2 * column, start)
                _set(fields, 2 * column + 1, length)
            column += 1
            position = mark + 1
            if byte != separator:
                if byte == 13:
                    mark, window, bits = _next(window, bits, end, separator)
                    position += 1
                newlines += 1
                break
        rows += 1
        is_blank = column == 1 and start == row and length == 0
        after = signals = missing = changed = int64(0)
        if column == columns and not is_irregular and not is_blank:
            after, signals, missing, changed = _line(form, fields, target, limit, scratch)
        if after == 0:
            _set(irregular, LINE, row_newlines)
            _set(irregular, TEXT_LINE, irregular_newlines)
            _set(irregular, POSITION, made)
            irregular += IRREGULAR_ROW * _LONG
            irregular_text = _copy(irregular_text, row, position - row)
            irregular_newlines += newlines - row_newlines
            left_out += 1
        else:
            target = after
            _set(ends, made, target - lines)
            made += 1
            written += signals
            missing_values += missing
            changed_ids += changed
    _report(output, rows, made, left_out, written, missing_values, changed_ids)
    _set(output, IRREGULAR_BYTES, irregular_text - _of(output, IRREGULAR_TEXT))
    return 0


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def frame_lines(views, columns, rows, form, output):
    """Turn the rows of a frame into lines; irregular rows are set apart. `views` has an entry for each column.

    The results are added to those of earlier calls with the same `output`: the frame is one of several chunks.
    """
    lines, limit = _of(output, LINES), _of(output, LINES) + _of(output, ROOM)
    ends, fields, scratch = _of(output, ENDS), _of(output, FIELDS), _of(output, SCRATCH)
    before, made, left_out = _of(output, ROWS), _of(output, MADE), _of(output, LEFT_OUT)
    written, missing_values, changed_ids = _of(output, WRITTEN), _of(output, MISSING), _of(output, CHANGED)
    irregular = _of(output, IRREGULAR) + IRREGULAR_ROW * _LONG * left_out
    target = lines
    if made:
        target += _of(ends, made - 1)
    for row in range(rows):
        for column in range(columns):
            view = _of(views, VIEWS * column) + 16 * row
            length = int64(_half(view))
            start = view + 4
            if length > _INLINE:
                start = _of(_of(views, VIEWS * column + 1), int64(_half(view + 8))) + int64(_half(view + 12))
            _set(fields, 2 * column, start)
            _set(fields, 2 * column + 1, length)
        after, signals, missing, changed = _line(form, fields, target, limit, scratch)
        if after == 0:
            _set(irregular, LINE, before + row)
            _set(irregular, TEXT_LINE, 0)
            _set(irregular, POSITION, made)
            irregular += IRREGULAR_ROW * _LONG
            left_out += 1
        else:
            target = after
            _set(ends, made, target - lines)
            made += 1
            written += signals
            missing_values += missing
            changed_ids += changed
    _report(output, before + rows, made, left_out, written, missing_values, changed_ids)
    return 0


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def merge(lines, ends, count, others, other_ends, positions, other_count):
    """Insert `other_count` lines into the `count` lines, other i before line `positions[i]`, beginning with the last.

    The memory of `lines` and of `ends` must be large enough for all.
    """
    line = count
    end = _of(ends, count - 1) if count else int64(0)  # of the lines that are not moved yet
    for done in range(other_count):
        other = other_count - 1 - done
        before = _of(positions, other)
        if before < line:
            start = _of(ends, before - 1) if before else int64(0)
            shift = _of(other_ends, other)
            _move_on(lines + start, end - start, shift)
            for position in range(line - 1, before - 1, -1):
                _set(ends, position + other + 1, _of(ends, position) + shift)
            line, end = before, start
        start = _of(other_ends, other - 1) if other else int64(0)
        _copy_exactly(lines + end + start, others + start, _of(other_ends, other) - start)
        _set(ends, line + other, end + _of(other_ends, other))
    return 0


FUNCTIONS = {whole_rows: 4, is_utf8: 2, delimited_lines: 6, frame_lines: 5, merge: 7}
"""The functions to compile, with the number of their parameters, all integers; each returns an integer."""
