"""The MIME body of a batch's mails: constant pieces, encoded once, and rendered pieces, encoded per mail.

In: the texts of the batch and its MIME skeleton. Out per recipient: the pieces on the wire and the body hash for DKIM.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kannon.mail.build.links import FlatTemplate, find_pieces
from kannon.mail.build.mime import MimeSkeleton
from kannon.mail.build.placeholders import Placeholder, split_placeholders
from kannon.mail.build.quoted_printable import Encoded, encode_piece, relax_body
from kannon.mail.build.render import RenderContext, Renderer, html_parts, text_parts
from kannon.mail.build.text import html_to_text

NO_SLOTS: Mapping[int, Encoded] = {}


class Body:
    """The pieces in order; a rendered piece is empty until `fill`."""

    def __init__(self) -> None:
        self._wire: list[bytes] = []
        self._canonical: list[bytes] = []
        self._renderers: dict[tuple[Renderer, bool], list[int]] = {}  # (renderer, is it the last piece) → positions

    def fill(self, context: RenderContext, slots: Mapping[int, Encoded] = NO_SLOTS) -> tuple[list[bytes], bytes]:
        """The pieces on the wire, and the SHA-256 of the canonical body (RFC 6376 §3.7). `slots`: by position."""
        wire, canonical = self._wire.copy(), self._canonical.copy()
        for position, encoded in slots.items():
            wire[position], canonical[position] = encoded
        for (renderer, last), positions in self._renderers.items():
            piece = encode_piece(renderer(context), last=last)
            for position in positions:
                wire[position], canonical[position] = piece.wire, piece.canonical
        digest = hashlib.sha256(b"".join(canonical[:-1]))
        for last_piece in canonical[-1:]:
            digest.update(last_piece)  # the end of the skeleton: with attachments it may be large, so it is not copied
        return wire, digest.digest()

    def add_lines(self, lines: bytes) -> None:
        """Whole lines: a constant part of the body."""
        self._add(Encoded(lines, relax_body(lines)))

    def add_last_lines(self, lines: bytes) -> None:
        """Ends the body. RFC 6376 §3.4.4: empty lines at its end are not signed."""
        canonical = relax_body(lines).rstrip(b"\r\n")
        self._add(Encoded(lines, canonical + b"\r\n" if canonical or self._wire else b""))

    def add_text(self, parts: Sequence[str | Renderer]) -> None:
        for i, part in enumerate(parts, 1):
            if isinstance(part, str):
                self._add(encode_piece(part, last=i == len(parts)))
            else:
                self._renderers.setdefault((part, i == len(parts)), []).append(len(self._wire))
                self._wire.append(b"")
                self._canonical.append(b"")

    def add_slot(self) -> int:
        """A text that `fill` gets encoded. Returns its position."""
        self._add(Encoded(b"", b""))
        return len(self._wire) - 1

    def _add(self, piece: Encoded) -> None:
        self._wire.append(piece.wire)
        self._canonical.append(piece.canonical)


def build_body(html: str, text: str, skeleton: MimeSkeleton, *, autoescape: bool) -> Body:
    """An empty `text` is made from the HTML; an empty `html` beside a text makes no part."""
    segments = split_placeholders(_unix_lines(html))
    if not autoescape:
        segments = [replace(s, raw=True) if isinstance(s, Placeholder) else s for s in segments]
    template = FlatTemplate(segments)
    pieces = find_pieces(template)  # before the text part, whose links have the same percent-encoded values
    own = [replace(s, raw=False) if isinstance(s, Placeholder) else s for s in split_placeholders(_unix_lines(text))]
    body = Body()
    body.add_lines(skeleton.before)
    body.add_text(text_parts(own or template.restore(html_to_text(template.text))))
    if skeleton.between:
        body.add_lines(skeleton.between)
        body.add_text(html_parts(pieces))
    body.add_lines(skeleton.after)
    return body


def _unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
