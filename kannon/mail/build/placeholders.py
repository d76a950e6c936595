"""Placeholders: `{{ name }}` and `{{{ name }}}` in HTML, subject and unsubscribe URL.

In: a template's text. Out: its segments, found once per batch in linear time, and the text filled for one recipient in
one pass: placeholders in a value are not replaced. A key is looked up, never interpreted; a placeholder with an unknown
key stays as written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

MAX_URL = 2000
"""Octets of a filled unsubscribe URL; mailbox providers do not fetch longer ones."""
_FIXED_HOST = re.compile(r"https://[^/?#{]+(?:[/?#]|\Z)", re.IGNORECASE)
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"  # RFC 3986 §2.2: reserved, and % because the template may be encoded already


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder. `raw`: written with three braces. `source`: exactly as written. `url_safe`: in a link, the
    characters that percent-encoding spares; None elsewhere."""

    key: str
    raw: bool
    source: str
    url_safe: str | None = None

    def value(self, fields: Mapping[str, str]) -> str | None:
        """Percent-encoded in a link; None for an unknown key."""
        value = fields.get(self.key)
        if value is None or self.url_safe is None:
            return value
        return quote(value, safe=self.url_safe, errors="replace")


Segment = str | Placeholder


def split_placeholders(text: str) -> list[Segment]:
    """Literals and placeholders in order; joined with each placeholder's `source` they are the text again.

    The search finds closing braces first, then the nearest opening braces before them, so that it scans each character
    a bounded number of times.
    """
    segments: list[Segment] = []
    literal = scanned = 0
    while (close := text.find("}}", scanned)) >= 0:
        start, end = text.rfind("{{", scanned, close), close + 2
        if start >= 0:
            key = text[start + 2 : close].strip(" \t")
            raw = start > scanned and text[start - 1] == "{" and text.startswith("}", end)
            if raw:
                start, end = start - 1, end + 1
            if start > literal:
                segments.append(text[literal:start])
            segments.append(Placeholder(key, raw, text[start:end]))
            literal = end
        scanned = end
    if literal < len(text):
        segments.append(text[literal:])
    return segments


def placeholders_in(text: str) -> set[str]:
    """The keys of a template."""
    return {segment.key for segment in split_placeholders(text) if isinstance(segment, Placeholder)}


def fields_for(email: str, global_fields: Mapping[str, Any], own_fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values for one recipient: own fields override global ones, and `email` is set unless the caller sets it."""
    return {"email": email, **global_fields, **own_fields}


def fill_plain(segments: Sequence[Segment], fields: Mapping[str, str]) -> str:
    """Values as they are; unknown placeholders verbatim."""
    return "".join([s if isinstance(s, str) else fields.get(s.key, s.source) for s in segments])


def fill_url(segments: Sequence[Segment], fields: Mapping[str, str]) -> str | None:
    """Values percent-encoded, so that none adds a delimiter; None if a value is missing.

    Characters of the template that a URL must not have (spaces, letters beyond ASCII) are encoded too.
    """
    filled: list[str] = []
    for segment in segments:
        if isinstance(segment, str):
            filled.append(quote(segment, safe=_URL_SAFE, errors="replace"))
        elif isinstance(value := fields.get(segment.key), str):
            filled.append(quote(value, safe="", errors="replace"))
        else:
            return None
    return "".join(filled)


def check_unsubscribe_url(template: str) -> str | None:
    """The problem of an unsubscribe URL template, regardless of the recipient, or None."""
    segments = split_placeholders(template)
    sample = fill_url(segments, dict.fromkeys(placeholders_in(template), "x"))
    if sample is None or not _is_https(sample):
        return "must be an https URL with a host"
    if not _FIXED_HOST.match(template):
        return "must not take its host from a placeholder"
    return None


def unsubscribe_url_resolves(template: str, fields: Mapping[str, str]) -> bool:
    """Whether this recipient's URL is complete, https, and short enough. `fields` as `fields_for` returns them."""
    url = fill_url(split_placeholders(template), fields)
    return url is not None and _is_https(url) and len(url) <= MAX_URL


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False
