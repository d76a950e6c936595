"""The MIME body of a jinja template's mails.

In: the compiled template and the MIME skeleton. Out per recipient: the pieces on the wire and the body hash for DKIM.
Where the template's HTML structure is static, links, pixel and text part are found once, literals are quoted-printable
already, and a mail is one rendering and one join. Elsewhere each mail's HTML is parsed after it is rendered.
"""

from typing import Any, NamedTuple

from kannon.mail.build.body import Body
from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.build.jinja_pieces import HtmlPieces, HtmlTexts, TextPieces, encode_values
from kannon.mail.build.jinja_structure import is_static
from kannon.mail.build.jinja_text import NotStatic, text_pattern
from kannon.mail.build.links import FlatTemplate, Link, find_pieces
from kannon.mail.build.mime import MimeSkeleton
from kannon.mail.build.placeholders import Placeholder
from kannon.mail.build.quoted_printable import Encoded, encode_piece
from kannon.mail.build.render import RenderContext, html_parts
from kannon.mail.build.text import html_to_text


class JinjaBody:
    def __init__(self, template: JinjaTemplate, skeleton: MimeSkeleton) -> None:
        self._template = template
        self._body = Body()
        self._body.add_lines(skeleton.before)
        self._text_at = self._body.add_slot()
        self._html_at: int | None = None
        if skeleton.between:
            self._body.add_lines(skeleton.between)
            self._html_at = self._body.add_slot()
        self._body.add_lines(skeleton.after)
        self._pieces = _compile(template) if template.has_html else None

    def render(self, values: dict[str, Any]) -> "JinjaTexts":
        """All that does not depend on tracking. `values`: as `JinjaTemplate.readable` returns them. Raises
        RenderError."""
        template = self._template
        subject = template.render_subject(values)
        text = encode_piece(template.render_text(values), last=True) if template.has_text else None
        if self._pieces is None:
            source = template.render_html(values)
            return JinjaTexts(subject, text or encode_piece(html_to_text(source), last=True), source)
        numbers, each = template.render_pieces(values)
        encoded = encode_values(each)
        html_pieces, text_pieces = self._pieces
        text = text or text_pieces.fill(numbers, each, encoded)
        return JinjaTexts(subject, text, html_pieces.render(numbers, each, encoded))

    def fill(self, texts: "JinjaTexts", context: RenderContext) -> tuple[list[bytes], bytes]:
        """As Body's."""
        slots = {self._text_at: texts.text}
        if self._html_at is not None:
            slots[self._html_at] = self._fill_html(texts, context)
        return self._body.fill(context, slots)

    def _fill_html(self, texts: "JinjaTexts", context: RenderContext) -> Encoded:
        if self._pieces is not None and not isinstance(texts.html, str):
            return self._pieces[0].fill(texts.html, context.tracking_urls)
        parts = html_parts(find_pieces(FlatTemplate([str(texts.html)])))
        return encode_piece("".join([part if isinstance(part, str) else part(context) for part in parts]), last=True)


class JinjaTexts(NamedTuple):
    """Of one mail. `html`: in pieces, or as a whole, which is parsed. Not to be filled twice."""

    subject: str
    text: Encoded
    html: str | HtmlTexts


def _compile(template: JinjaTemplate) -> tuple[HtmlPieces, TextPieces] | None:
    """None where the structure is not static."""
    source = template.html_source()
    flat = source.flat()
    if not is_static(source, flat):
        return None
    pieces = find_pieces(flat)
    links = [piece for piece in pieces if isinstance(piece, Link)]
    linked = {int(each.key): each for link in links for each in link.source if isinstance(each, Placeholder)}
    shown: list[str | int] = []
    if not template.has_text:
        try:
            shown = text_pattern(flat, source.tags)
        except NotStatic:
            return None
    template.mark_literals(source, linked)
    is_value = [not tag.name for tag in source.tags]
    raw = {i for i, each in enumerate(flat.placeholders) if each.raw}
    return HtmlPieces(pieces, is_value), TextPieces(shown, is_value, frozenset(linked), frozenset(raw))
