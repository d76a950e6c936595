"""The filters of jinja templates that are Kannon's own. Raise ValueError for values that they cannot format."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from minijinja import Markup

from kannon.mail.build.jinja_syntax import METHODS, RENAMED

MAX_JOINED = 1 << 20  # characters
_FORMAT = re.compile(r"(?:[^%]|%[aAbBdHIjmMpSyYZ%])*")
_MAX_FORMAT = 100
_MAX_DIGITS = 40
_MAX_PLACES = 6
_EXACT = 1e9
_MAX_RANGE = 10_000


def _date(value: object, form: str = "%Y-%m-%d") -> str:
    """`value`: ISO 8601, or seconds since 1970. Without an offset it is UTC."""
    if len(form) > _MAX_FORMAT or not _FORMAT.fullmatch(form):
        raise ValueError(f'date: the format "{form[:_MAX_FORMAT]}" is not allowed')
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).strftime(form)
        return datetime.fromisoformat(str(value)).strftime(form)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f'date: "{str(value)[:50]}" is not a date') from None


def _money(value: object, currency: str = "", places: int = 2) -> str:
    """`1234.5|money("EUR")` is `1,234.50 EUR`; halves are rounded to even, as banks do."""
    if not 0 <= places <= _MAX_PLACES:
        raise ValueError(f"money: places must be 0 to {_MAX_PLACES}")
    if type(value) is float and abs(value) < _EXACT and round(value, places) == value:
        formatted = f"{value:,.{places}f}"  # nothing is rounded: three times as fast
    else:
        formatted = f"{_decimal(value, 'money'):,.{places}f}"
    return f"{formatted} {currency}" if currency else formatted


def _times(value: object, factor: object) -> int | float | str:
    product = _decimal(value, "times") * _decimal(factor, "times")
    return int(product) if product == product.to_integral_value() and abs(product) < 1 << 53 else float(product)


def _decimal(value: object, name: str) -> Decimal:
    text = str(value).strip()
    try:
        number = Decimal(text) if len(text) <= _MAX_DIGITS and not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS:
        raise ValueError(f'{name}: "{text[:50]}" is not a number')
    return number


def bounded_range(*limits: int) -> list[int]:
    steps = range(*limits)
    if len(steps) > _MAX_RANGE:
        raise ValueError(f"range: has more than {_MAX_RANGE} numbers")
    return list(steps)


class _Object(dict[str, Any]):
    """A JSON object whose keys are all that a template sees."""

    __slots__ = ()


class _List(list[Any]):
    __slots__ = ()


def _hide(kind: type) -> None:
    def absent(self: object) -> object:
        raise AttributeError

    for name in METHODS:
        setattr(kind, name, property(absent))


_hide(_Object)
_hide(_List)


def without_methods(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without Python's own attributes, such as a list's `append`: slower to read."""
    return {key: value if isinstance(value, str) else _readable(value) for key, value in values.items()}


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """With the keys by which tags name them."""
    return {RENAMED + key if key in METHODS else key: value for key, value in values.items()}


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return _Object({key: _readable(each) for key, each in value.items()})
    return _List([_readable(each) for each in value]) if isinstance(value, list) else value


def _items(value: object) -> list[list[object]]:
    if not isinstance(value, dict):
        raise ValueError("items: needs an object")
    return [[key, each] for key, each in dict.items(value)]


def _dictsort(value: object) -> list[list[object]]:
    return sorted(_items(value), key=lambda pair: str(pair[0]).lower())


def _url(value: object) -> Markup:
    """Percent-encoded, for any part of a URL; it is not encoded again in an href."""
    return Markup(quote(str(value), safe="", errors="replace"))


def _join(values: object, separator: str = "") -> str:
    if not isinstance(values, list | tuple):
        raise ValueError("join: needs a list")
    words = [str(value) for value in values]
    if sum(map(len, words)) + len(separator) * len(words) > MAX_JOINED:
        raise ValueError(f"join: the result has more than {MAX_JOINED} characters")
    return separator.join(words)


FILTERS: Mapping[str, Callable[..., object]] = {
    "date": _date,
    "money": _money,
    "times": _times,
    "url": _url,
    "join": _join,
    "items": _items,
    "dictsort": _dictsort,
}
