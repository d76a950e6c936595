"""Converts the HTML of a mail to its text/plain part.

In: an HTML text, in which a placeholder is an opaque run of characters. Out: paragraphs, lists and links as plain
lines, not wrapped. The cost is linear in any input, which general converters do not guarantee.
"""

import re

from kannon.mail.build.html import SPACE, TOKEN, attributes, decode_attribute, decode_text

_BREAKS = {
    **dict.fromkeys(("address", "article", "aside", "blockquote", "body", "center", "details", "dl", "fieldset"), 2),
    **dict.fromkeys(("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "nav"), 2),
    **dict.fromkeys(("ol", "p", "pre", "section", "table", "ul"), 2),
    **dict.fromkeys(("caption", "dd", "div", "dt", "figcaption", "legend", "li", "option", "summary", "tr"), 1),
}
"""Line ends before and after an element."""
_LISTS = ("ul", "ol")
_CELLS = ("td", "th")
_WANTED = frozenset(("alt", "href"))
Token = re.Match[str]
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u034f\u00ad"  # padding of the preview line in newsletters
_SPACES = SPACE + "\xa0"
_RULE = "-" * 20
_MAX_INDENT = 6  # levels: bounds the output for deeply nested lists
MAX_BREAKS = 3
_SHOWN_SCHEMES = ("http:", "https:", "mailto:", "tel:")


def html_to_text(source: str) -> str:
    """Line ends are LF; there are no blank lines at the ends."""
    writer = TextWriter(source)
    writer.write()
    return writer.finish()


class TextWriter:
    """Collects words. A line break is written together with the next word."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._out: list[str] = []
        self._breaks = 0  # line ends due before the next word
        self._space = False  # a space is due before the next word
        self._lists: list[int] = []  # per open list: the last number, -1 for bullets
        self._bullet = ""
        self._pre = 0
        self._link: tuple[Token, int] | None = None  # the open <a>, and the start of its text in _out

    def write(self) -> None:
        source = self._source
        done = 0
        for token in TOKEN.finditer(source):
            start, end = token.span()
            if start > done:
                self.text(source[done:start])
            done = end
            kind = token.lastgroup
            if kind == "closed":
                self.start(token["start"].lower(), token)
            elif kind == "end":
                self.end(token["end"].lower())
        self.text(source[done:])

    def text(self, source: str) -> None:
        text = decode_text(source)
        if self._pre:
            self._preformatted(text)
            return
        words = text.split()
        if not text.isascii():
            words = [word for word in words if word.strip(_INVISIBLE)]
        if not words:
            self._space = True
            return
        self._space |= text[0] in _SPACES
        self._word(" ".join(words))
        self._space = text[-1] in _SPACES

    def start(self, name: str, token: Token) -> None:
        if (breaks := _BREAKS.get(name, 0)) > self._breaks:
            self._breaks = breaks
        if name == "a":
            self._link = (token, len(self._out))
        elif name == "br":
            self._breaks += 1
        elif name in _CELLS:
            self._space = True
        elif name == "img":
            self.text(self._value(token, "alt"))
        elif name == "hr":
            self._word(_RULE)
            self._breaks = _BREAKS[name]
        elif name == "li":
            self._item()
        elif name == "pre":
            self._pre += 1
        elif name in _LISTS:
            if self._lists:
                self._breaks = 1  # a list within a list begins and ends without a blank line
            self._lists.append(-1 if name == "ul" else 0)

    def end(self, name: str) -> None:
        if (breaks := _BREAKS.get(name, 0)) > self._breaks:
            self._breaks = breaks
        if name == "a":
            self._close_link()
        elif name == "pre":
            self._pre = max(0, self._pre - 1)
        elif name in _LISTS and self._lists:
            self._lists.pop()
            if self._lists:
                self._breaks = 1

    def finish(self) -> str:
        return "".join(self._out).strip("\n")

    def _preformatted(self, text: str) -> None:
        first, *others = text.split("\n")
        self._word(first)
        for line in others:
            self._breaks += 1
            self._word(line)

    def _value(self, token: Token, name: str) -> str:
        found = attributes(self._source, *token.span("attributes"), _WANTED).get(name)
        return self._source[found.value_start : found.value_end] if found is not None else ""

    def _word(self, text: str) -> None:
        if not text:
            return
        if self._breaks or not self._out:
            if self._out:
                self._out.append("\n" * min(self._breaks, MAX_BREAKS))
            self._indent()
            self._breaks = 0
        elif self._space:
            self._out.append(" ")
        self._space = False
        self._out.append(text)

    def _indent(self) -> None:
        if self._lists or self._bullet:
            indent = "  " * (min(len(self._lists), _MAX_INDENT) - 1)
            self._out.append(indent + (self._bullet or "  "))
            self._bullet = ""

    def _item(self) -> None:
        if self._lists and self._lists[-1] >= 0:
            self._lists[-1] += 1
            self._bullet = f"{self._lists[-1]}. "
        else:
            self._bullet = "- "

    def _close_link(self) -> None:
        if self._link is None:
            return
        token, begin = self._link
        self._link = None
        shown = "".join(self._out[begin:]).strip()
        if not shown:
            return
        target = decode_attribute(self._value(token, "href")).strip(SPACE)
        bare = target.removeprefix("mailto:").removeprefix("tel:")
        if shown in (target, bare):
            return
        if (
            target.lower().startswith(_SHOWN_SCHEMES) or not target.isascii()
        ):  # a character beyond ASCII may be a placeholder's mark
            self._space = True
            self._word(f"({bare})")
