"""HTML as a sequence of tokens, found in one linear pass and never rebuilt.

In: any text that claims to be HTML. Out: the positions of tags, comments and raw texts, and of a tag's attributes, so
that an edit leaves the rest byte for byte. It never fails and repairs nothing. If the text ends inside a tag or a
comment, nothing after that point is a tag, as in browsers (WHATWG HTML §13.2.5).
"""

import html
import re
from collections.abc import Iterator
from html.entities import html5
from typing import NamedTuple

SPACE = " \t\n\r\f"
_ = rf"[{SPACE}]"
# Every quantifier is possessive, or lazy before a fixed end, and the end of the text always matches as that end: no
# character is scanned twice.
_REST = rf"""(?:[^>=]++|={_}*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^{SPACE}>"'][^{SPACE}>]*+)?+)*+"""
TOKEN = re.compile(
    rf"""
    <(?:
      (?P<raw>script|style|textarea|title|xmp|iframe|noembed|noframes)(?=[{SPACE}/>])
        {_REST}(?:>|\Z) .*? (?:(?=</(?P=raw)[{SPACE}/>])|\Z)
    | (?P<start>[a-z][^{SPACE}/>]*+)(?P<attributes>{_REST})(?:(?P<closed>>)|\Z)
    | /(?P<end>[a-z][^{SPACE}/>]*+){_REST}(?:>|\Z)
    | !--(?:-?>|.*?(?:--!?>|\Z))
    | [!?/][^>]*+(?:>|\Z)
    )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII | re.DOTALL,
)
"""Groups: `raw` (an element with raw text, content included), `start` with `attributes`, `end`. A comment or
declaration has none of them. `closed` is unset if the text ends inside a start tag."""

_ATTRIBUTE = re.compile(
    rf"""(?P<space>[{SPACE}/]*+)(?P<name>[^{SPACE}/>=][^{SPACE}/>=]*+)
    (?:{_}*+={_}*+(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?P<bare>[^{SPACE}>"'][^{SPACE}>]*+)))?+""",
    re.VERBOSE,
)
_REFERENCE = re.compile(r"&(?:(#(?:[0-9]++|[xX][0-9a-fA-F]++);?)|([A-Za-z][A-Za-z0-9]{0,31})(;|(?![=A-Za-z0-9])))")


class Attribute(NamedTuple):
    """`start`–`end` includes the white space before, `value_start`–`value_end` excludes the quotes. An attribute
    without a value has an empty value at its end."""

    start: int
    end: int
    value_start: int
    value_end: int


def attributes(text: str, start: int, end: int, wanted: frozenset[str]) -> dict[str, Attribute]:
    """The wanted attributes of a start tag, by name; `start` and `end` delimit TOKEN's group `attributes`."""
    found: dict[str, Attribute] = {}
    if start == end:
        return found
    for match in _ATTRIBUTE.finditer(text, start, end):
        name = match["name"].lower()
        if name in wanted and name not in found:  # WHATWG HTML §13.2.5.33: the first of two with one name counts
            group = match.lastgroup
            value_start, value_end = match.span(group) if group and group != "name" else (match.end(), match.end())
            found[name] = Attribute(match.start(), match.end(), value_start, value_end)
    return found


def attribute_values(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, is it quoted) of each value in a start tag; `start` and `end` delimit TOKEN's group `attributes`."""
    for match in _ATTRIBUTE.finditer(text, start, end):
        group = match.lastgroup
        if group in ("double", "single", "bare"):
            yield *match.span(group), group != "bare"


def decode_attribute(value: str) -> str:
    """Resolves character references as in an attribute: `?a=1&copy=2` keeps its `&copy` (WHATWG HTML §13.2.5.73)."""
    if "&" not in value:
        return value
    return _REFERENCE.sub(_resolve, value)


def _resolve(match: re.Match[str]) -> str:
    if match[1]:
        return html.unescape(match[0]) if len(match[0]) < 20 else "\ufffd"
    return html5.get(match[2] + match[3], match[0])


def decode_text(text: str) -> str:
    """Resolves character references as between tags."""
    if "&" not in text:
        return text
    try:
        return html.unescape(text)
    except ValueError:  # a numeric reference of thousands of digits
        return text
