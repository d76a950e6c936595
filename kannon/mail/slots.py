"""The places of a mail's texts that differ from copy to copy, and how each is filled.

In: what a template was cut into (kannon.mail.links, kannon.mail.placeholders). Out: slots; each turns one recipient's
`Copy` into the text that stands there.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kannon.mail.links import Link, Markup, Piece, Pixel, fill_target, find_links
from kannon.mail.placeholders import Field, Segment
from kannon.mail.reader import Reader
from kannon.mail.text import html_to_text


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's: the values that fill it, and the reader its tracking URLs speak of."""

    fields: Mapping[str, str]
    reader: Reader


Slot = Callable[[Copy], str]


def text_parts(segments: Sequence[Segment]) -> list[str | Slot]:
    """The text/plain part: values as they are, those meant as HTML turned into text."""
    return [segment if isinstance(segment, str) else _text_slot(segment) for segment in segments]


def html_parts(pieces: Sequence[Piece]) -> list[str | Slot]:
    """The text/html part: values escaped, links and the pixel tracked as the copy's policy says."""
    return [piece if isinstance(piece, str) else _html_slot(piece) for piece in pieces]


def _text_slot(field: Field) -> Slot:
    def fill(copy: Copy) -> str:
        value = copy.fields.get(field.key)
        if value is None:
            return field.source
        return _markup_to_text(value) if field.raw and ("<" in value or "&" in value) else value

    return fill


_markup_to_text = lru_cache(maxsize=256)(html_to_text)


def _html_slot(piece: Field | Link | Markup | Pixel) -> Slot:
    match piece:
        case Field():
            return lambda copy: _fill_field(piece, copy)
        case Link():
            return lambda copy: _fill_link(piece, copy)
        case Markup():
            return lambda copy: _fill_markup(piece, copy)
        case Pixel():
            return _fill_pixel


def _fill_field(field: Field, copy: Copy) -> str:
    value = copy.fields.get(field.key)
    if value is None:
        return field.source
    return value if field.raw else html.escape(value)


def _fill_link(link: Link, copy: Copy) -> str:
    target = fill_target(link, copy.fields)
    url = copy.reader.link_url(target) if target is not None else None
    if url is not None:
        return html.escape(url)
    return "".join([s if isinstance(s, str) else _fill_field(s, copy) for s in link.written])


def _fill_markup(markup: Markup, copy: Copy) -> str:
    value = copy.fields.get(markup.field.key)
    if value is None:
        return markup.field.source
    if "<" not in value:
        return value
    return "".join([part if isinstance(part, str) else part(copy) for part in html_parts(_links_of(value))])


@lru_cache(maxsize=256)
def _links_of(value: str) -> tuple[Piece, ...]:
    return tuple(find_links(value))


def _fill_pixel(copy: Copy) -> str:
    url = copy.reader.pixel_url()
    return f'<img src="{html.escape(url)}" width="1" height="1" alt="">' if url is not None else ""
