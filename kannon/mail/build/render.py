"""The places of a mail's texts that differ from copy to copy, and how each is filled.

In: what a template was cut into (kannon.mail.build.links, kannon.mail.build.placeholders). Out: slots; each turns one
recipient's `RenderContext` into the text that stands there.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from kannon.mail.build.html import decode_attribute
from kannon.mail.build.links import Link, Markup, Piece, Pixel, fill_target, find_links
from kannon.mail.build.placeholders import Field, Segment
from kannon.mail.build.text import html_to_text
from kannon.mail.build.tracking_urls import TrackingUrls
from kannon.mail.build.urls import is_script


@dataclass(frozen=True, slots=True)
class RenderContext:
    """One recipient's: the values that fill it, and the reader its tracking URLs speak of."""

    fields: Mapping[str, str]
    reader: TrackingUrls


_NO_LINK = "#"
"""Replaces a link that a recipient's values turn into a script."""

Slot = Callable[[RenderContext], str]
"""Equal places of a text share one slot, so each value is made once a copy."""


def text_parts(segments: Sequence[Segment]) -> list[str | Slot]:
    """The text/plain part: values as they are, those meant as HTML turned into text."""
    slots = {field: partial(_fill_text, field) for field in set(segments) if isinstance(field, Field)}
    return [segment if isinstance(segment, str) else slots[segment] for segment in segments]


def html_parts(pieces: Sequence[Piece]) -> list[str | Slot]:
    """The text/html part: values escaped, links and the pixel tracked as the copy's policy says."""
    slots = {piece: _html_slot(piece) for piece in set(pieces) if not isinstance(piece, str)}
    return [piece if isinstance(piece, str) else slots[piece] for piece in pieces]


def _fill_text(field: Field, copy: RenderContext) -> str:
    value = field.value(copy.fields)
    if value is None:
        return field.source
    return _markup_to_text(value) if field.raw and ("<" in value or "&" in value) else value


_markup_to_text = lru_cache(maxsize=256)(html_to_text)


def _html_slot(piece: Field | Link | Markup | Pixel) -> Slot:
    match piece:
        case Field():
            return partial(_fill_field, piece)
        case Link():
            return partial(_fill_link, piece)
        case Markup():
            return partial(_fill_markup, piece)
        case Pixel():
            return _fill_pixel


def _fill_field(field: Field, copy: RenderContext) -> str:
    value = field.value(copy.fields)
    if value is None:
        return field.source
    return value if field.raw else html.escape(value)


def _fill_link(link: Link, copy: RenderContext) -> str:
    target = fill_target(link, copy.fields) if link.tracked else None
    url = copy.reader.link_url(target) if target is not None else None
    if url is not None:
        return html.escape(url)
    written = "".join([s if isinstance(s, str) else _fill_field(s, copy) for s in link.written])
    if written.startswith("http"):
        return written
    return _NO_LINK if is_script(decode_attribute(written)) else written


def _fill_markup(markup: Markup, copy: RenderContext) -> str:
    value = copy.fields.get(markup.field.key)
    if value is None:
        return markup.field.source
    if "<" not in value:
        return value
    return "".join([part if isinstance(part, str) else part(copy) for part in html_parts(_links_of(value))])


@lru_cache(maxsize=256)
def _links_of(value: str) -> tuple[Piece, ...]:
    return tuple(find_links(value))


def _fill_pixel(copy: RenderContext) -> str:
    url = copy.reader.pixel_url()
    return f'<img src="{html.escape(url)}" width="1" height="1" alt="">' if url is not None else ""
