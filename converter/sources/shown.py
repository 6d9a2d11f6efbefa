"""The text of a cell of Excel, as it is shown, as far as data can be.

- Text: as it is; numbers that are stored as text keep all of their digits.
- Numbers: with the zeros and digits of their format (`00000`: `00701`, `0.00`: `12.30`, `0%`: `15%`), but without
  separators of thousands, currencies and colors; in other formats with up to 15 digits, and from 10^15 on as Excel
  shows them, `1.23457E+15`, since it keeps no more digits.
- Dates and times: `2024-01-31`, `2024-01-31 13:05:00`, `13:05:00`, of any format.
- Truths: `true`, `false`. Errors: `#N/A` …. A formula is the value that was stored with it.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

_DIGITS = 15  # that Excel keeps
_DAY = 86_400
# What stands around the digits of a format: colors and conditions, texts in quotes, escaped and padded characters.
_AROUND = re.compile(r'\[[^\]]*\]|"[^"]*"|[\\_*].|[$€£¥\s()]')
_ZEROS = re.compile(r"(?:[#,]*)(0*)(?:\.([0#]+))?(%?)")
_SCIENTIFIC = re.compile(r"0(?:\.(0+))?E\+0+")


def shown(value: object, format_: str) -> str | None:
    """Return the text of the value of a cell in a number format; `None` where it is empty."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _of_format(format_)(Decimal(repr(value)))
    if isinstance(value, datetime.datetime):
        value = (value + datetime.timedelta(microseconds=500)).replace(microsecond=0)  # times are fractions of a day
        has_time = value.time() != datetime.time() or re.search("[hs]", _AROUND.sub("", format_), re.IGNORECASE)
        return value.strftime("%Y-%m-%d %H:%M:%S" if has_time else "%Y-%m-%d")
    if isinstance(value, datetime.timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(value, datetime.time):
        return value.replace(microsecond=0).isoformat()
    return str(value)


@functools.lru_cache(maxsize=1000)
def _of_format(format_: str) -> Callable[[Decimal], str]:
    """Return what writes numbers in a format."""
    plain = _AROUND.sub("", format_.partition(";")[0])
    if scientific := _SCIENTIFIC.fullmatch(plain):
        return functools.partial(_scientific, digits=len(scientific[1] or ""))
    found = _ZEROS.fullmatch(plain)
    if not plain or plain == "@" or found is None or not (found[1] or found[2]):
        return _general
    least, decimals, percent = len(found[1]), found[2] or "", bool(found[3])
    return functools.partial(
        _fixed, least=least, most=len(decimals), fewest=len(decimals.rstrip("#")), is_percent=percent
    )


def _general(value: Decimal) -> str:
    whole = value.to_integral_value()
    parts = whole.as_tuple()
    if value == whole and len(parts.digits) + int(parts.exponent) > _DIGITS:
        # A whole number that another program has stored may have more digits.
        is_exact = not value.as_tuple().exponent and any(parts.digits[_DIGITS:])
        return str(int(value)) if is_exact else _scientific(value, digits=5, is_short=True)
    text = format(Decimal(format(value, f".{_DIGITS}g")), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scientific(value: Decimal, digits: int, *, is_short: bool = False) -> str:
    mantissa, _, exponent = format(value, f".{digits}E").partition("E")
    if is_short:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}E{exponent[0]}{int(exponent[1:]):02}"


def _fixed(value: Decimal, least: int, most: int, fewest: int, *, is_percent: bool) -> str:
    """Write a number with at least so many digits before the point, and from `fewest` to `most` after it."""
    value = value.scaleb(2) if is_percent else value
    rounded = value.quantize(Decimal(1).scaleb(-most), ROUND_HALF_UP)
    whole, _, behind = format(abs(rounded), "f").partition(".")
    behind = behind[:fewest] + behind[fewest:].rstrip("0")
    sign = "-" if rounded < 0 else ""
    return f"{sign}{whole.zfill(least)}{'.' * bool(behind)}{behind}{'%' * is_percent}"
