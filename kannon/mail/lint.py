"""What mailbox providers and readers have trouble with in a mail: `kannon templates lint`.

In: a `Preview`. Out: findings. Not checked: how the HTML looks anywhere.
"""

from collections.abc import Iterator
from typing import NamedTuple

from kannon.mail.build.html import TOKEN, attributes
from kannon.mail.preview import Preview

GMAIL_CUTS_AT = 102 * 1024
"""Octets of HTML, behind which Gmail shows "[Message clipped]"."""
_WANTED = frozenset(("alt", "width", "height", "src"))
_SHOWN = 100  # characters


class Finding(NamedTuple):
    code: str
    message: str


def lint(preview: Preview, *, bulk: bool) -> list[Finding]:
    """`bulk`: the mail goes to many, so it needs a link to unsubscribe (RFC 8058 §3.1; Gmail and Yahoo demand it)."""
    found = list(_images(preview.html))
    for link in preview.links:
        if link.lower().startswith("http:"):
            found.append(Finding("link_without_https", f"{link[:_SHOWN]}: the link is not https"))
    size = len(preview.html.encode())
    if size > GMAIL_CUTS_AT:
        found.append(Finding("too_large", f"the HTML has {size} bytes; Gmail cuts it at {GMAIL_CUTS_AT}"))
    if not preview.text.strip():
        found.append(Finding("no_text", "the text part is empty; filters take that for spam, and some readers see it"))
    if bulk and "unsubscribe" not in preview.html.lower():
        found.append(Finding("no_unsubscribe", "bulk mail has no link to unsubscribe; see one_click_unsubscribe too"))
    found += [Finding("missing_field", f"{name}: the sample has no such value") for name in preview.missing]
    return found


def _images(html: str) -> Iterator[Finding]:
    for token in TOKEN.finditer(html):
        if token.lastgroup != "closed" or token["start"].lower() != "img":
            continue
        found = attributes(html, *token.span("attributes"), _WANTED)
        source = found.get("src")
        name = html[source.value_start : source.value_end][:_SHOWN] if source is not None else "img without src"
        if "alt" not in found:
            yield Finding("image_without_alt", f'{name}: has no alt text (alt="" if it only decorates)')
        if "width" not in found or "height" not in found:
            yield Finding("image_without_size", f"{name}: has no width and height, so that the mail jumps as it loads")
