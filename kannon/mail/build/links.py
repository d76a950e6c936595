"""Which places of an HTML body change for tracking: hrefs, the pixel, and `data-no-track` marks.

In: a template's segments. Out: the body as segments in which
links and the pixel are values of their own; everything else stays byte for byte, comments included.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kannon.mail.build.html import SPACE, TOKEN, attributes, decode_attribute
from kannon.mail.build.placeholders import Field, Segment

MAX_TARGET = 4000
"""Octets of a target; a longer one would not fit into a token (kannon.mail.token.MAX_TOKEN) and is left alone."""
_WANTED = frozenset({"href", "data-no-track"})
_WEB = re.compile(r"https?://[^/?#\\\s]", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x1f\x7f]")
_DROPPED = str.maketrans("", "", "\t\n\r")  # WHATWG URL §4.4: removed wherever they are in a URL
_PRIVATE_USE = range(0xE000, 0x110000)


@dataclass(frozen=True, slots=True)
class Link:
    """The value of one href: `written` as in the HTML, `target` with its character references resolved."""

    written: tuple[Segment, ...]
    target: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Markup:
    """A value inserted as HTML between tags; it may bring links of its own."""

    field: Field


@dataclass(frozen=True, slots=True)
class Pixel:
    """Where the pixel goes."""


Piece = str | Field | Link | Markup | Pixel
_Edit = tuple[int, int, Link | Markup | Pixel | None]


class FlatTemplate:
    """A text whose placeholders are replaced by `<mark><index><mark>`, the mark being a character it does not hold.

    So a scanner for HTML needs to know nothing of placeholders, and a key may hold quotes or angle brackets.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        held: set[str] = set().union(*[segment for segment in segments if isinstance(segment, str)])
        self.mark = next(c for c in map(chr, _PRIVATE_USE) if c not in held)
        self._fields = [segment for segment in segments if isinstance(segment, Field)]
        self.has_markup = any(field.raw for field in self._fields)
        numbers = iter(range(len(self._fields)))
        self.text = "".join([s if isinstance(s, str) else f"{self.mark}{next(numbers)}{self.mark}" for s in segments])

    def restore(self, part: str) -> list[Segment]:
        """The segments of any part of `text` (or of what was made from it) that cuts through no mark."""
        split = part.split(self.mark)
        return [x if i % 2 == 0 else self._fields[int(x)] for i, x in enumerate(split) if x]


def find_pieces(segments: Sequence[Segment]) -> list[Piece]:
    """An HTML body, cut where something is filled in or changed."""
    template = FlatTemplate(segments)
    text = template.text
    pieces: list[Piece] = []
    done = 0
    for start, end, new in sorted(_edits(template), key=lambda edit: edit[0]):
        pieces += template.restore(text[done:start])
        if new is not None:
            pieces.append(new)
        done = end
    return pieces + list[Piece](template.restore(text[done:]))


def find_links(value: str) -> list[Piece]:
    """The same for a value inserted as HTML: it holds no placeholders, and gets no pixel."""
    return [piece for piece in find_pieces([value]) if not isinstance(piece, Pixel)]


def _edits(template: FlatTemplate) -> Iterator[_Edit]:
    """(start, end, what stands there instead); the pixel is put before the last </body>, or at the end."""
    text = template.text
    pixel_at = len(text)
    done = 0
    for token in TOKEN.finditer(text):
        if template.has_markup:
            yield from _markup_edits(template, done, token.start())
            done = token.end()
        kind = token.lastgroup
        if kind == "closed":
            if token["start"] in ("a", "A") and token["attributes"]:
                yield from _anchor_edits(template, *token.span("attributes"))
        elif kind == "end" and token["end"].lower() == "body":
            pixel_at = token.start()
    if template.has_markup:
        yield from _markup_edits(template, done, len(text))
    yield pixel_at, pixel_at, Pixel()


def _markup_edits(template: FlatTemplate, start: int, end: int) -> Iterator[_Edit]:
    """Values inserted as HTML in a stretch between tags."""
    while (at := template.text.find(template.mark, start, end)) >= 0:
        start = template.text.index(template.mark, at + 1) + 1
        (field,) = template.restore(template.text[at:start])
        if isinstance(field, Field) and field.raw:
            yield at, start, Markup(field)


def _anchor_edits(template: FlatTemplate, start: int, end: int) -> Iterator[_Edit]:
    """What changes in one <a …>."""
    found = attributes(template.text, start, end, _WANTED)
    if "data-no-track" in found:
        yield found["data-no-track"].start, found["data-no-track"].end, None
    elif "href" in found:
        href = found["href"]
        value = template.text[href.value_start : href.value_end]
        target = decode_attribute(value)
        if template.mark in value or web_target(target) is not None:  # with a value in it, decided when it is filled
            link = Link(tuple(template.restore(value)), tuple(template.restore(target)))
            yield href.value_start, href.value_end, link


def fill_target(link: Link, fields: Mapping[str, str]) -> str | None:
    """The URL a reader would go to, or None when it is not known or not to be tracked.

    A value is escaped for the attribute and a reader's browser undoes that, so it counts as it is; one that is inserted
    as HTML is read as HTML.
    """
    filled: list[str] = []
    for segment in link.target:
        if isinstance(segment, str):
            filled.append(segment)
        elif (value := fields.get(segment.key)) is None:
            return None
        else:
            filled.append(decode_attribute(value) if segment.raw else value)
    return web_target("".join(filled))


def web_target(url: str) -> str | None:
    """The URL without the white space that browsers drop, if it is http or https and fit for a token; else None."""
    if not url.isprintable():
        url = url.translate(_DROPPED)
    url = url.strip(SPACE)
    if not _WEB.match(url) or _UNFIT.search(url) or len(url.encode("utf-8", "replace")) > MAX_TARGET:
        return None
    return url
