"""Renders the parts of a mail's texts that differ between recipients.

In: the pieces of a template (kannon.mail.build.links, kannon.mail.build.placeholders). Out: constant strings and
renderers; a renderer turns one recipient's `RenderContext` into the text at its place.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from kannon.mail.build.html import decode_attribute
from kannon.mail.build.links import Link, Markup, Piece, Pixel, find_links, link_target
from kannon.mail.build.placeholders import Placeholder, Segment
from kannon.mail.build.text import html_to_text
from kannon.mail.build.tracking_urls import TrackingUrls
from kannon.mail.build.urls import is_script

_NO_LINK = "#"
"""Replaces a link that a recipient's values turn into a script."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """One recipient's field values, and the tracking URLs of the delivery."""

    fields: Mapping[str, str]
    tracking_urls: TrackingUrls


Renderer = Callable[[RenderContext], str]
"""Equal places of a text share one renderer, so each value is rendered once per mail."""


def text_parts(segments: Sequence[Segment]) -> list[str | Renderer]:
    """The text/plain part: values as they are, values inserted as HTML converted to text."""
    renderers = {each: partial(_render_text, each) for each in set(segments) if isinstance(each, Placeholder)}
    return [segment if isinstance(segment, str) else renderers[segment] for segment in segments]


def html_parts(pieces: Sequence[Piece]) -> list[str | Renderer]:
    """The text/html part: values escaped, links and pixel tracked as the delivery's policy demands."""
    renderers = {piece: _html_renderer(piece) for piece in set(pieces) if not isinstance(piece, str)}
    return [piece if isinstance(piece, str) else renderers[piece] for piece in pieces]


def _render_text(placeholder: Placeholder, context: RenderContext) -> str:
    value = placeholder.value(context.fields)
    if value is None:
        return placeholder.source
    return markup_to_text(value) if placeholder.raw and ("<" in value or "&" in value) else value


markup_to_text = lru_cache(maxsize=256)(html_to_text)


def _html_renderer(piece: Placeholder | Link | Markup | Pixel) -> Renderer:
    match piece:
        case Placeholder():
            return partial(_render_value, piece)
        case Link():
            return partial(render_link, piece)
        case Markup():
            return partial(_render_markup, piece)
        case Pixel():
            return render_pixel


def _render_value(placeholder: Placeholder, context: RenderContext) -> str:
    value = placeholder.value(context.fields)
    if value is None:
        return placeholder.source
    return value if placeholder.raw else html.escape(value)


def render_link(link: Link, context: RenderContext) -> str:
    target = link_target(link, context.fields) if link.tracked else None
    url = context.tracking_urls.link_url(target) if target is not None else None
    if url is not None:
        return html.escape(url)
    href = "".join([s if isinstance(s, str) else _render_value(s, context) for s in link.source])
    if href.startswith("http"):
        return href
    return _NO_LINK if is_script(decode_attribute(href)) else href


def _render_markup(markup: Markup, context: RenderContext) -> str:
    value = markup.placeholder.value(context.fields)
    if value is None:
        return markup.placeholder.source
    return render_markup(value, context)


def render_markup(value: str, context: RenderContext) -> str:
    """A value inserted as HTML, with its links tracked."""
    if "<" not in value:
        return value
    return "".join([part if isinstance(part, str) else part(context) for part in html_parts(_markup_pieces(value))])


@lru_cache(maxsize=256)
def _markup_pieces(value: str) -> tuple[Piece, ...]:
    return tuple(find_links(value))


def render_pixel(context: RenderContext) -> str:
    url = context.tracking_urls.pixel_url()
    return f'<img src="{html.escape(url)}" width="1" height="1" alt="">' if url is not None else ""
