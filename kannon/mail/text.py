"""The text/plain part of a mail, made from its HTML.

In: an HTML text (placeholders may stand in it as opaque runs of characters). Out: paragraphs, lists and links as plain
lines, not wrapped. Linear in the input whatever it is, which is why no general converter is used here.
"""

import re
from collections.abc import Callable

from kannon.mail.html import SPACE, TOKEN, attributes, decode_attribute, decode_text

_BREAKS = {
    **dict.fromkeys(("address", "article", "aside", "blockquote", "body", "center", "details", "dl", "fieldset"), 2),
    **dict.fromkeys(("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "nav"), 2),
    **dict.fromkeys(("ol", "p", "pre", "section", "table", "ul"), 2),
    **dict.fromkeys(("caption", "dd", "div", "dt", "figcaption", "legend", "li", "option", "summary", "tr"), 1),
}
"""Line ends before and after an element."""
_CELLS = frozenset(("td", "th"))
_LISTS = frozenset(("ul", "ol"))
_WANTED = frozenset(("alt", "href"))
_SPACES = re.compile(rf"[{SPACE}\xa0]+")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u034f\u00ad"  # what newsletters pad the preview line with
_RULE = "-" * 20
_MAX_INDENT = 6  # levels; the output stays linear however deep lists are nested
_SHOWN_SCHEMES = ("http:", "https:", "mailto:", "tel:")


def html_to_text(source: str) -> str:
    """Lines end in LF; no blank lines at either end."""
    writer = _Writer()
    done = 0
    for token in TOKEN.finditer(source):
        if token.start() > done:
            writer.text(source[done : token.start()])
        done = token.end()
        if token["start"] is not None:
            writer.start(token["start"].lower(), source, token)
        elif token["end"] is not None:
            writer.end(token["end"].lower())
    writer.text(source[done:])
    return writer.finish()


class _Writer:
    """Collects words; breaks are only noted, and written before the next word."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._breaks = 0  # line ends due before the next word
        self._space = False  # a space is due before the next word
        self._lists: list[int] = []  # per open list: the last number, -1 for bullets
        self._bullet = ""
        self._pre = 0
        self._link: tuple[str, int] | None = None  # target, and where in _out its text begins
        self._starts: dict[str, Callable[[], None]] = {
            "hr": lambda: self._word(_RULE),
            "li": self._item,
            "ul": lambda: self._lists.append(-1),
            "ol": lambda: self._lists.append(0),
            "pre": self._open_pre,
        }

    def text(self, source: str) -> None:
        text = decode_text(source)
        if self._pre:
            for i, line in enumerate(text.split("\n")):
                if i:
                    self._break(1)
                self._word(line)
            return
        words = [word for word in _SPACES.split(text) if word.strip(_INVISIBLE)]
        if not words:
            self._space = True
            return
        self._space |= text[0] in SPACE or text[0] == "\xa0"
        self._word(" ".join(words))
        self._space = text[-1] in SPACE or text[-1] == "\xa0"

    def start(self, name: str, source: str, token: re.Match[str]) -> None:
        if name in _BREAKS:
            self._break(1 if name in _LISTS and self._lists else _BREAKS[name])
        elif name == "br":
            self._break(self._breaks + 1)
        elif name in _CELLS:
            self._space = True
        elif name == "a" and token["closed"]:
            href = attributes(source, *token.span("attributes"), _WANTED).get("href")
            target = decode_attribute(source[href.value_start : href.value_end]).strip(SPACE) if href else ""
            self._link = (target, len(self._out))
        elif name == "img" and token["closed"]:
            alt = attributes(source, *token.span("attributes"), _WANTED).get("alt")
            if alt:
                self.text(source[alt.value_start : alt.value_end])
        if name in self._starts:
            self._starts[name]()

    def end(self, name: str) -> None:
        if name in _BREAKS:
            self._break(_BREAKS[name])
        elif name == "a":
            self._close_link()
        if name in _LISTS and self._lists:
            self._lists.pop()
            if self._lists:
                self._breaks = min(self._breaks, 1)
        elif name == "pre":
            self._pre = max(0, self._pre - 1)

    def finish(self) -> str:
        return "".join(self._out).strip("\n")

    def _word(self, text: str) -> None:
        if not text:
            return
        if self._out and self._breaks:
            self._out.append("\n" * min(self._breaks, 3))
        if self._breaks or not self._out:
            depth = min(len(self._lists), _MAX_INDENT)
            self._out.append("  " * (depth - 1) + (self._bullet or "  ") if depth else self._bullet)
            self._bullet = ""
        elif self._space:
            self._out.append(" ")
        self._breaks = 0
        self._space = False
        self._out.append(text)

    def _break(self, lines: int) -> None:
        self._breaks = max(self._breaks, lines)
        self._space = False

    def _item(self) -> None:
        if self._lists and self._lists[-1] >= 0:
            self._lists[-1] += 1
            self._bullet = f"{self._lists[-1]}. "
        else:
            self._bullet = "- "

    def _open_pre(self) -> None:
        self._pre += 1

    def _close_link(self) -> None:
        if self._link is None:
            return
        target, begin = self._link
        self._link = None
        shown = "".join(self._out[begin:]).strip()
        bare = target.removeprefix("mailto:").removeprefix("tel:")
        if not shown or shown in (target, bare):
            return
        if target.lower().startswith(_SHOWN_SCHEMES) or not target.isascii():
            self._space = True
            self._word(f"({bare})")
