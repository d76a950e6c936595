"""The HTML and the text of a jinja template in pieces: literals that are encoded once, and values in between.

In: for each mail the numbers of the literals that the template rendered, and the value behind each (empty behind one
that a statement follows). Number i is the literal before tag i, the last one is at the end. Out: quoted-printable text.
A literal begins with the soft line break that ends the value before it, and ends with a line break, so that each value
begins in column 0 and almost all are what they are.
"""

import html
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kannon.mail.build.jinja import MARK
from kannon.mail.build.jinja_text import BREAK, resolve
from kannon.mail.build.links import Link, Markup, Piece, Pixel
from kannon.mail.build.placeholders import Placeholder, Segment
from kannon.mail.build.quoted_printable import MAX_LINE, PLAIN, Encoded, encode_piece, relax_body
from kannon.mail.build.render import RenderContext, markup_to_text, render_link, render_markup, render_pixel
from kannon.mail.build.tracking_urls import TrackingUrls

_SOFT = "=\r\n"
_PLAIN_VALUE = re.compile(rf"(?!.{{{MAX_LINE + 1}}})(?:{PLAIN})?+", re.DOTALL)
_PLAIN_OCTETS = bytes(set(range(0x20, 0x7F)) - set(b"=")) + MARK.encode()
_SPACE_BEFORE, _SPACE_AFTER = f"{MARK} ".encode(), f" {MARK}".encode()
_Part = str | Link | Pixel
_Encoded = tuple[str, str]
"""On the wire and canonical."""


class Values(NamedTuple):
    """Encoded values without a line break at the end. `same`: both are the same."""

    wire: list[str]
    canonical: list[str]
    same: bool


def encode_values(values: list[str]) -> Values:
    if _are_plain(values):
        return Values(values, values, same=True)
    odd = [i for i, value in enumerate(values) if not value.isascii()]
    wire = values.copy()
    for i in odd:
        wire[i] = ""
    if not _are_plain(wire):
        odd = [i for i, plain in enumerate(map(_PLAIN_VALUE.fullmatch, values)) if plain is None]
    encoded = {i: encode_piece(values[i]) for i in odd}
    for i, piece in encoded.items():
        wire[i] = _open(piece.wire)
    if all([piece.wire == piece.canonical for piece in encoded.values()]):  # noqa: C419 - faster than a generator
        return Values(wire, wire, same=True)
    canonical = wire.copy()
    for i, piece in encoded.items():
        canonical[i] = _open(piece.canonical)
    return Values(wire, canonical, same=False)


def _are_plain(values: list[str]) -> bool:
    """Whether no value needs an escape or a line break; at once, because most are."""
    joined = f"{MARK}{MARK.join(values)}{MARK}"
    if not joined.isascii():
        return False
    octets = joined.encode("ascii")
    return (
        not octets.translate(None, _PLAIN_OCTETS)
        and b"  " not in octets
        and _SPACE_BEFORE not in octets
        and _SPACE_AFTER not in octets
        and len(max(values, key=len)) <= MAX_LINE
    )


class HtmlTexts(NamedTuple):
    """One mail's literals and values in turn; the same list twice if they are the same. `changes`: positions of the
    literals with or before something that is tracked, their numbers, and the values behind them."""

    wire: list[str]
    canonical: list[str]
    changes: list[tuple[int, str, Sequence[str]]]


class HtmlPieces:
    """`pieces`: of the flat template, whose placeholder i is tag i. `is_value`: of each tag; others are statements."""

    def __init__(self, pieces: Sequence[Piece], is_value: Sequence[bool]) -> None:
        self._links: dict[str, tuple[Link, list[str]]] = {}  # by the literal before: the link, and its tags
        self._markup: set[str] = set()  # literals before a value that is inserted as HTML
        self._own: dict[str, list[_Encoded | Link | Pixel]] = {}  # literals that are not the same in all mails
        self._wire: dict[str, str] = {}
        self._canonical: dict[str, str] = {}
        literals = self._split(pieces, len(is_value) + 1)
        for number, parts in enumerate(literals):
            start = _SOFT if number and is_value[number - 1] else ""
            encoded: list[_Encoded | Link | Pixel] = [(start, start)]
            for i, part in enumerate(parts, 1):
                last = number == len(is_value) and i == len(parts)
                encoded.append(_decode(encode_piece(part, last=last)) if isinstance(part, str) else part)
            texts = [part for part in encoded if isinstance(part, tuple)]
            self._wire[str(number)] = "".join([wire for wire, _ in texts])
            self._canonical[str(number)] = "".join([canonical for _, canonical in texts])
            if len(texts) < len(encoded):
                self._own[str(number)] = encoded
        for _, tags in self._links.values():
            for tag in tags[1:]:  # a link has the literals in it
                self._wire[tag] = self._canonical[tag] = ""
        self._changing = self._links.keys() | self._markup | self._own.keys()
        self._same = self._wire == self._canonical
        self._is_open = not literals[-1] or not isinstance(literals[-1][-1], str)  # it ends with a soft line break

    def _split(self, pieces: Sequence[Piece], count: int) -> list[list[_Part]]:
        """By literal."""
        literals: list[list[_Part]] = [[] for _ in range(count)]
        at = 0
        for piece in pieces:
            if isinstance(piece, Placeholder):
                at = int(piece.key) + 1
            elif isinstance(piece, Markup):
                self._markup.add(piece.placeholder.key)
                at = int(piece.placeholder.key) + 1
            elif isinstance(piece, Link) and (tags := [each.key for each in piece.source if not isinstance(each, str)]):
                self._links[tags[0]] = (_without_encoding(piece), tags)
                at = int(tags[-1]) + 1
            else:
                literals[at].append(piece)
        return literals

    def render(self, numbers: Sequence[str], values: Sequence[str], encoded: Values) -> HtmlTexts:
        """`encoded` are the values."""
        wire = _interleave(numbers, self._wire, encoded.wire)
        canonical = wire if self._same and encoded.same else _interleave(numbers, self._canonical, encoded.canonical)
        changes: list[tuple[int, str, Sequence[str]]] = []
        for i, number in enumerate(numbers):
            if number in self._changing:
                tags = self._links[number][1] if number in self._links else ()
                changes.append((2 * i, number, values[i : i + max(1, len(tags))]))
        return HtmlTexts(wire, canonical, changes)

    def fill(self, texts: HtmlTexts, urls: TrackingUrls) -> Encoded:
        """Changes `texts`."""
        wire, canonical, changes = texts
        for at, number, values in changes:
            if number in self._own:
                parts = [_encode_part(part, urls) for part in self._own[number]]
                on_wire, in_hash = "".join([part[0] for part in parts]), "".join([part[1] for part in parts])
                if canonical is wire and on_wire != in_hash:
                    canonical = wire.copy()
                wire[at], canonical[at] = on_wire, in_hash
            if number in self._links:
                link, tags = self._links[number]
                value = render_link(link, RenderContext(dict(zip(tags, values, strict=True)), urls))
                for i in range(at + 3, at + 2 * len(tags), 2):
                    wire[i] = canonical[i] = ""
            elif number in self._markup:
                value = render_markup(values[0], RenderContext({}, urls))
            else:
                continue
            on_wire, in_hash = _decode(encode_piece(value))
            if canonical is wire and on_wire != in_hash:
                canonical = wire.copy()
            wire[at + 1], canonical[at + 1] = on_wire.removesuffix(_SOFT), in_hash.removesuffix(_SOFT)
        body = self._join(wire)
        return Encoded(body, body if canonical is wire else self._join(canonical))

    def _join(self, both: list[str]) -> bytes:
        text = "".join(both)
        if self._is_open:
            while text.endswith(_SOFT):
                text = text.removesuffix(_SOFT).rstrip(" \t")
        return text.encode("ascii")


class TextPieces:
    """`shown`: texts and tags as `text_pattern` returns them. `linked`: tags in an href, whose values are not escaped;
    `raw`: tags whose values are HTML."""

    def __init__(
        self, shown: Sequence[str | int], is_value: Sequence[bool], linked: frozenset[int], raw: frozenset[int]
    ) -> None:
        at, literals = 0, [list[str | int]() for _ in range(len(is_value) + 1)]
        in_place: set[int] = set()
        for part in shown:
            if isinstance(part, str) or part < at:
                literals[at].append(part)
            else:
                in_place.add(part)
                at = part + 1
        self._table: dict[str, str] = {}
        self._moved: dict[str, list[str | int]] = {}  # literals with values that stand before them in the HTML
        for number, parts in enumerate(literals):
            start = _SOFT if number and is_value[number - 1] and number - 1 in in_place else ""
            encoded = [_encode_literal(part) if isinstance(part, str) else part for part in parts]
            texts = [part for part in encoded if isinstance(part, str)]
            if len(texts) == len(encoded):
                self._table[str(number)] = start + "".join(texts)
            else:
                self._moved[str(number)] = [start, *encoded]
        self._kept = {str(part) for parts in literals for part in parts if isinstance(part, int)}
        self._hidden = {str(i) for i, value in enumerate(is_value) if value and i not in in_place}
        self._raw = {str(i) for i in raw}
        self._linked = {str(i) for i in linked - raw}
        self._same = all(_is_canonical(part) for parts in literals for part in parts if isinstance(part, str))
        self._is_simple = not (self._moved or self._hidden or raw)

    def fill(self, numbers: Sequence[str], values: Sequence[str], encoded: Values) -> Encoded:
        """`encoded` are the values."""
        if self._is_simple and "&" not in "".join(values):
            text = "".join(_interleave(numbers, self._table, encoded.wire))
        else:
            text = self._fill(numbers, values)
        wire = _trim(resolve(text, "\r\n")).encode("ascii")
        return Encoded(wire, wire if self._same and encoded.same else relax_body(wire))

    def _fill(self, numbers: Sequence[str], values: Sequence[str]) -> str:
        """With values that are not shown, or elsewhere than in the HTML, or escaped there."""
        kept: dict[int, str] = {}
        written: list[str] = []
        for number, value in zip(numbers, values, strict=True):
            if number in self._moved:
                written += [part if isinstance(part, str) else kept.get(part, "") for part in self._moved[number]]
            else:
                written.append(self._table[number])
            if not value:
                kept.pop(int(number), None)
                continue
            if number in self._raw:
                text = markup_to_text(value)
            else:
                text = html.unescape(value) if "&" in value and number not in self._linked else value
            if number in self._kept:
                kept[int(number)] = _encode_value(text) + _SOFT
            if number not in self._hidden:
                written.append(_encode_value(text))
        return "".join(written)


def _encode_part(part: _Encoded | Link | Pixel, urls: TrackingUrls) -> _Encoded:
    if isinstance(part, tuple):
        return part
    context = RenderContext({}, urls)
    return _decode(encode_piece(render_link(part, context) if isinstance(part, Link) else render_pixel(context)))


def _decode(piece: Encoded) -> _Encoded:
    return piece.wire.decode("ascii"), piece.canonical.decode("ascii")


def _without_encoding(link: Link) -> Link:
    """The values come percent-encoded."""

    def bare(segments: Sequence[Segment]) -> tuple[Segment, ...]:
        return tuple(s if isinstance(s, str) else Placeholder(s.key, s.raw, s.source) for s in segments)

    return Link(bare(link.source), bare(link.target), link.tracked)


def _encode_literal(text: str) -> str:
    """Breaks around it stay as they are."""
    at, end = 0, len(text)
    while text[at : at + 1] == BREAK:
        at += 2
    while end - 2 >= at and text[end - 2] == BREAK:
        end -= 2
    return text[:at] + encode_piece(text[at:end]).wire.decode("ascii") + text[end:]


def _is_canonical(text: str) -> bool:
    return "  " not in text and "\t" not in text and " \n" not in text


def _encode_value(value: str) -> str:
    return value if _PLAIN_VALUE.fullmatch(value) else _open(encode_piece(value).wire)


def _open(piece: bytes) -> str:
    return piece.decode("ascii").removesuffix(_SOFT)


def _interleave(numbers: Sequence[str], literals: Mapping[str, str], values: Sequence[str]) -> list[str]:
    both = [""] * (2 * len(numbers))
    both[::2] = map(literals.__getitem__, numbers)
    both[1::2] = values
    return both


def _trim(text: str) -> str:
    """Without line breaks and white space at the end. Every `=` there is of a soft line break."""
    while (trimmed := text.rstrip("\r\n \t")).endswith("="):
        text = trimmed[:-1]
    return trimmed
