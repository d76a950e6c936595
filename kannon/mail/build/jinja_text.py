"""The text part of a jinja template, made from its HTML once: statements and values keep their places in it.

In: a template's flat text, whose structure is static (kannon.mail.build.jinja_structure). Out: what
precedes the first tag, and what follows each tag. Which line breaks remain around a statement depends on what it leaves
out, so those are written with BREAK, and `resolve` replaces them in the filled text; it also takes the text in
quoted-printable, where BREAK is always encoded.
"""

from collections.abc import Sequence
from typing import Final

from kannon.mail.build.jinja_syntax import BLOCKS, Tag
from kannon.mail.build.links import FlatTemplate
from kannon.mail.build.text import MAX_BREAKS, TextWriter, Token

BREAK: Final = "\x01"
"""Precedes SPACE, or the number of line ends."""
SPACE: Final = "0"
_OPENED = frozenset(("a", "ul", "ol", "pre"))
_BRANCHES = frozenset(("elif", "else"))


def resolve(text: str, line_end: str) -> str:
    """Of adjacent breaks the largest counts, as in HTML; there are none at the beginning and at the end."""
    first, *others = text.split(BREAK)
    written = [first]
    largest = ""
    for part in others:
        if part[0] > largest:
            largest = part[0]
        if len(part) > 1:
            if first or len(written) > 1:
                written.append(" " if largest == SPACE else line_end * int(largest))
            written.append(part[1:])
            largest = ""
    return "".join(written)


def write_break(line_ends: int) -> str:
    return f"{BREAK}{min(line_ends, MAX_BREAKS)}"


class NotStatic(Exception):
    """The text depends on the rendered HTML as a whole."""


def text_pattern(flat: FlatTemplate, tags: Sequence[Tag]) -> list[str | int]:
    """Texts, and the numbers of tags. Raises NotStatic."""
    writer = _PatternWriter(flat, tags)
    writer.write()
    writer.check_end()
    split = writer.finish().split(flat.mark)
    return [part if i % 2 == 0 else int(part) for i, part in enumerate(split) if part]


class _PatternWriter(TextWriter):
    """A statement is no word: breaks before and after it are merged when the text is filled.

    Elements that are open across the border of a block would need the rendered HTML.
    """

    def __init__(self, flat: FlatTemplate, tags: Sequence[Tag]) -> None:
        super().__init__(flat.text)
        self._mark = flat.mark
        self._tags = tags
        self._after_statement = False
        self._branch = 0  # a number for each branch of each block
        self._branches = 0
        self._blocks: list[int] = []
        self._opened: list[tuple[str, int]] = []

    def text(self, source: str) -> None:
        if BREAK in source:
            raise NotStatic
        split = source.split(self._mark)
        written = split[0]
        for number, literal in zip(split[1::2], split[2::2], strict=True):
            tag = self._tags[int(number)]
            mark = f"{self._mark}{number}{self._mark}"
            if not tag.name:
                written += mark + literal
                continue
            if written:
                super().text(written)
            self._statement(tag, mark)
            written = literal
        if written:
            super().text(written)

    def start(self, name: str, token: Token) -> None:
        if name in _OPENED:
            self._opened.append((name, self._branch))
        elif name == "li" and self._lists and self._lists[-1] >= 0 and ("ol", self._branch) not in self._opened:
            raise NotStatic  # its number depends on what was rendered before
        super().start(name, token)

    def end(self, name: str) -> None:
        if name in _OPENED:
            if (name, self._branch) not in self._opened:
                raise NotStatic
            self._opened.remove((name, self._branch))
        super().end(name)

    def check_end(self) -> None:
        if any(branch for _, branch in self._opened):
            raise NotStatic

    def _statement(self, tag: Tag, mark: str) -> None:
        if self._bullet and tag.name in BLOCKS:
            self._write_break()
        elif self._breaks:
            self._out.append(write_break(self._breaks))
        elif self._space:
            self._out.append(BREAK + SPACE)
        self._breaks, self._space = 0, False
        self._out.append(mark)
        self._after_statement = True
        if tag.name in BLOCKS:
            self._blocks.append(self._branch)
            self._new_branch()
        elif tag.name in _BRANCHES:
            self._leave_branch()
            self._new_branch()
        elif tag.name.startswith("end"):
            self._leave_branch()
            self._branch = self._blocks.pop()

    def _new_branch(self) -> None:
        self._branches += 1
        self._branch = self._branches

    def _leave_branch(self) -> None:
        if self._bullet or any(branch == self._branch for _, branch in self._opened):
            raise NotStatic

    def _word(self, text: str) -> None:
        if not text or not self._after_statement:
            super()._word(text)
            return
        self._after_statement = False
        if self._breaks:
            self._write_break()
        elif self._space:
            self._out.append(BREAK + SPACE)
        self._space = False
        self._out.append(text)

    def _write_break(self) -> None:
        self._out.append(write_break(self._breaks))
        self._indent()
        self._breaks = 0
