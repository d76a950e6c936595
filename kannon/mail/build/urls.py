"""URLs in an href: which are tracked, which are scripts, and how a value inside one is percent-encoded.

In: URLs with character references resolved, as a browser sees them. No URL is rewritten here.
"""

import re

from kannon.mail.build.html import SPACE

MAX_TARGET = 4000
"""Octets of a tracked target; a longer one does not fit into a token (kannon.mail.token.MAX_TOKEN)."""
VALUE = "\ufffc"
"""Represents a placeholder in the beginning of a URL."""

# WHATWG URL §4.4: a browser reads a backslash before the query as a slash. Location can only hold it percent-encoded,
# which names another path, or in the authority another host: such a link is not tracked.
_WEB = re.compile(r"https?://[^/?#\\\s][^?#\\]*(?![^?#])", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DROPPED = str.maketrans("", "", "\t\n\r")  # WHATWG URL §4.4: removed wherever they are in a URL
_LEADING = "".join(map(chr, range(0x21)))  # WHATWG URL §4.4: C0 controls and space, removed at the ends
_SCRIPT = re.compile(r"(?:javascript|vbscript|data):", re.IGNORECASE)
_SCHEME = re.compile(rf"(?:[a-z][a-z0-9+.-]*+|{VALUE}):", re.IGNORECASE)
_PATH_SAFE = "/:@!$&'()*+,;="  # RFC 3986 §3.3: pchar, and the slash between segments


def web_target(url: str) -> str | None:
    """The URL without the white space that browsers drop, if it is http or https and fits into a token; else None."""
    if not url.isprintable():
        url = url.translate(_DROPPED)
    url = url.strip(SPACE)
    if not _WEB.match(url) or _CONTROL.search(url) or len(url.encode("utf-8", "replace")) > MAX_TARGET:
        return None
    return url


def is_script(url: str) -> bool:
    """Whether a browser runs or renders the URL itself instead of fetching it."""
    return _SCRIPT.match(url.translate(_DROPPED).lstrip(_LEADING)) is not None


def safe_characters(prefix: str) -> str | None:
    """The characters of a value after `prefix` that are not percent-encoded, besides the unreserved ones; None where
    the value is inserted unchanged: at the beginning, in the authority, and after a scheme such as `mailto:`.

    A path keeps its delimiters, a query or fragment none (RFC 3986 §3.3, §3.4). VALUE in `prefix` is an earlier value.
    """
    prefix = prefix.translate(_DROPPED).lstrip(_LEADING)
    if "?" in prefix or "#" in prefix:
        return ""
    scheme = _SCHEME.match(prefix)
    rest = prefix[scheme.end() :] if scheme else prefix
    if rest.startswith("//"):
        return _PATH_SAFE if "/" in rest[2:] else None
    if scheme or not rest:
        return None
    if rest.startswith(VALUE) and "/" not in rest:
        # `{{ url }}&b={{ value }}` continues the query of `url`; `{{ base }}{{ path }}` puts a URL together.
        return "" if "&" in rest or "=" in rest else None
    return _PATH_SAFE
