"""The places of an HTML body that differ between recipients or change for tracking: links, the pixel, `data-no-track`.

In: a template's segments. Out: the body in pieces, with links and the pixel as pieces of their own; everything else
stays byte for byte, comments included.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kannon.mail.build.html import TOKEN, attributes, decode_attribute
from kannon.mail.build.placeholders import Placeholder, Segment
from kannon.mail.build.urls import VALUE, safe_characters, web_target

_WANTED = frozenset({"href", "data-no-track"})
_MAX_PREFIX = 1000
"""Characters before a placeholder that are parsed as a URL: keeps the cost of many placeholders in one href linear."""
_LINKS = frozenset({"a", "area"})
_PRIVATE_USE = range(0xE000, 0x110000)


@dataclass(frozen=True, slots=True)
class Link:
    """The value of one href: `source` as in the HTML, `target` with its character references resolved."""

    source: tuple[Segment, ...]
    target: tuple[Segment, ...]
    tracked: bool


@dataclass(frozen=True, slots=True)
class Markup:
    """A value inserted as HTML between tags; it may contain links."""

    placeholder: Placeholder


@dataclass(frozen=True, slots=True)
class Pixel:
    """The place of the pixel."""


Piece = str | Placeholder | Link | Markup | Pixel
_Edit = tuple[int, int, Link | Markup | Pixel | None]


class FlatTemplate:
    """A text in which `<mark><index><mark>` replaces each placeholder; the mark is a character that the text lacks.

    An HTML scanner then needs no knowledge of placeholders, whose keys may contain quotes or angle brackets.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        used: set[str] = set().union(*[segment for segment in segments if isinstance(segment, str)])
        self.mark = next(c for c in map(chr, _PRIVATE_USE) if c not in used)
        self.placeholders = [segment for segment in segments if isinstance(segment, Placeholder)]
        self.has_markup = any(each.raw for each in self.placeholders)
        indexes = iter(range(len(self.placeholders)))
        self.text = "".join([s if isinstance(s, str) else f"{self.mark}{next(indexes)}{self.mark}" for s in segments])

    def restore(self, part: str) -> list[Segment]:
        """The segments of a part of `text`, or of text derived from it, that does not cut through a mark."""
        split = part.split(self.mark)
        return [x if i % 2 == 0 else self.placeholders[int(x)] for i, x in enumerate(split) if x]

    def percent_encode(self, href: str) -> None:
        """Sets the placeholders in a part of `text` that is an href to be percent-encoded, except values inserted as
        HTML."""
        prefix, safe = "", None
        for i, part in enumerate(href.split(self.mark)):
            literal = decode_attribute(part) if i % 2 == 0 else VALUE
            if i % 2 == 1:
                safe = safe_characters(prefix) if safe is None else safe
                placeholder = self.placeholders[int(part)]
                if not placeholder.raw:
                    self.placeholders[int(part)] = replace(placeholder, url_safe=safe)
            elif safe is not None and ("?" in literal or "#" in literal):
                safe = ""
            if len(prefix) < _MAX_PREFIX:
                prefix += literal


def find_pieces(template: FlatTemplate) -> list[Piece]:
    """The pieces of an HTML body: literals, and everything that is filled in or changed. Afterwards the placeholders in
    the template's links are set to be percent-encoded."""
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
    """The pieces of a value inserted as HTML, which has no placeholders and no pixel."""
    return [piece for piece in find_pieces(FlatTemplate([value])) if not isinstance(piece, Pixel)]


def _edits(template: FlatTemplate) -> Iterator[_Edit]:
    """(start, end, replacement); the pixel goes before the last </body>, or at the end."""
    text = template.text
    pixel_at = len(text)
    done = 0
    for token in TOKEN.finditer(text):
        if template.has_markup:
            yield from _markup_edits(template, done, token.start())
            done = token.end()
        kind = token.lastgroup
        if kind == "closed":
            if token["attributes"] and (name := token["start"].lower()) in _LINKS:
                yield from _link_edits(template, *token.span("attributes"), anchor=name == "a")
        elif kind == "end" and token["end"].lower() == "body":
            pixel_at = token.start()
    if template.has_markup:
        yield from _markup_edits(template, done, len(text))
    yield pixel_at, pixel_at, Pixel()


def _markup_edits(template: FlatTemplate, start: int, end: int) -> Iterator[_Edit]:
    """Values inserted as HTML between two tags."""
    while (at := template.text.find(template.mark, start, end)) >= 0:
        start = template.text.index(template.mark, at + 1) + 1
        (segment,) = template.restore(template.text[at:start])
        if isinstance(segment, Placeholder) and segment.raw:
            yield at, start, Markup(segment)


def _link_edits(template: FlatTemplate, start: int, end: int, *, anchor: bool) -> Iterator[_Edit]:
    """The edits in one <a …> or <area …>. Only links of <a> are tracked."""
    found = attributes(template.text, start, end, _WANTED)
    exempt = found.get("data-no-track")
    if anchor and exempt is not None:
        yield exempt.start, exempt.end, None
    if "href" in found:
        href = found["href"]
        value = template.text[href.value_start : href.value_end]
        target = decode_attribute(value)
        tracked = anchor and exempt is None
        # Whether a target that holds a placeholder is tracked depends on the value.
        if template.mark in value:
            template.percent_encode(value)
        if template.mark in value or (tracked and web_target(target) is not None):
            link = Link(tuple(template.restore(value)), tuple(template.restore(target)), tracked)
            yield href.value_start, href.value_end, link


def link_target(link: Link, fields: Mapping[str, str]) -> str | None:
    """The URL that the link leads to, or None if a value is missing or the URL is not tracked.

    A browser resolves the character references of the attribute: an escaped value counts unescaped, and a value that is
    inserted as HTML has its references resolved.
    """
    parts: list[str] = []
    for segment in link.target:
        if isinstance(segment, str):
            parts.append(segment)
        elif (value := segment.value(fields)) is None:
            return None
        else:
            parts.append(decode_attribute(value) if segment.raw else value)
    return web_target("".join(parts))
