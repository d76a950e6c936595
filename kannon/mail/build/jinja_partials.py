"""Partials and layouts: `{% include "footer" %}`, `{% extends "layout" %}` with `{% block name %}`.

In: a template's text, and the texts of the domain's templates that it names by their titles. Out: one text without
these statements, which is compiled, checked and limited as if it had been written so. An included text sees the
variables around it; what it sets ends with it. A template that extends a layout consists of blocks, which replace those
of the layout.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kannon.mail.build.jinja_syntax import PARTIALS, Tag, TemplateFault, fault_at, split_tags

MAX_LEVELS = 5
"""Of partials in partials."""
MAX_EXPANDED = 4 << 20
"""Characters."""
_NAMED = re.compile(r"""\s*(?:include|extends)\s+(?:"([^"\\]{1,200})"|'([^'\\]{1,200})')\s*""")
_BLOCK = re.compile(r"\s*block\s+(\w{1,100})\s*")
_MENTIONED = re.compile(r"\{%[-+]?\s*(?:include|extends|block)\b")


def uses_partials(text: str) -> bool:
    """Quickly: True also where it is within `raw` or a comment."""
    return "{%" in text and _MENTIONED.search(text) is not None


def partials_in(text: str) -> set[str]:
    """The titles that it names. Raises TemplateFault."""
    parts = split_tags(text, PARTIALS)
    return {_title(text, part) for part in parts if isinstance(part, Tag) and part.name in ("include", "extends")}


def expand(text: str, partials: Mapping[str, str]) -> str:
    """Raises TemplateFault, at the place in `text`."""
    return _Expansion(partials).expand(text, {}, 0)


@dataclass
class _Expansion:
    partials: Mapping[str, str]
    written: int = 0

    def expand(self, text: str, blocks: Mapping[str, str], level: int) -> str:
        """`blocks`: expanded ones, which replace those of `text`."""
        parts = split_tags(text, PARTIALS)
        layout = _first_tag(parts)
        if layout is not None and layout.name == "extends":
            own = dict(self._blocks(text, parts, blocks, level))
            return self._partial(text, layout, own | dict(blocks), level)
        return self._parts(text, parts, blocks, level)

    def _parts(self, text: str, parts: Sequence[str | Tag], blocks: Mapping[str, str], level: int) -> str:
        written: list[str] = []
        skipped = 0  # depth within a block that is replaced
        for part in parts:
            if isinstance(part, str):
                new = "" if skipped else part
            elif skipped:
                skipped += (part.name == "block") - (part.name == "endblock")
                new = ""
            elif part.name == "extends":
                raise fault_at(text, part.start, "extends must be the first statement")
            elif part.name == "include":
                new = f"{{% with %}}{self._partial(text, part, {}, level)}{{% endwith %}}"
            elif part.name == "block":
                new = blocks.get(_block(text, part), "")
                skipped = _block(text, part) in blocks
            else:
                new = "" if part.name == "endblock" else part.source
            self.written += len(new)
            if self.written > MAX_EXPANDED:
                raise fault_at(text, 0, f"has more than {MAX_EXPANDED} characters with its partials")
            written.append(new)
        return "".join(written)

    def _partial(self, text: str, tag: Tag, blocks: Mapping[str, str], level: int) -> str:
        title = _title(text, tag)
        if title not in self.partials:
            raise fault_at(text, tag.start, f'the domain has no jinja template with the title "{title}"')
        if level >= MAX_LEVELS:
            raise fault_at(text, tag.start, f"more than {MAX_LEVELS} partials within each other")
        try:
            return self.expand(self.partials[title], blocks, level + 1)
        except TemplateFault as fault:
            problem = f'"{title}": {fault.problem} (line {fault.line}, column {fault.column} of it)'
            raise fault_at(text, tag.start, problem[:500]) from None

    def _blocks(
        self, text: str, parts: Sequence[str | Tag], blocks: Mapping[str, str], level: int
    ) -> list[tuple[str, str]]:
        """Those of a template that extends a layout. What stands around them is not used."""
        found: list[tuple[str, str]] = []
        depth, name, inner = 0, "", list[str | Tag]()
        for part in parts:
            named = part.name if isinstance(part, Tag) else ""
            if named == "block" and isinstance(part, Tag):
                depth += 1
                if depth == 1:
                    name, inner = _block(text, part), []
                    continue
            if named == "endblock":
                depth -= 1
                if depth == 0:
                    found.append((name, self._parts(text, inner, blocks, level)))
                    continue
            if depth:
                inner.append(part)
        return found


def _first_tag(parts: Sequence[str | Tag]) -> Tag | None:
    return next((part for part in parts if isinstance(part, Tag) and part.name != "#"), None)


def _title(text: str, tag: Tag) -> str:
    named = _NAMED.fullmatch(tag.inner)
    if named is None:
        raise fault_at(text, tag.start, f'{tag.name} needs the title of a template: {{% {tag.name} "footer" %}}')
    return named[1] or named[2]


def _block(text: str, tag: Tag) -> str:
    named = _BLOCK.fullmatch(tag.inner)
    if named is None:
        raise fault_at(text, tag.start, "block needs a name: {% block content %}")
    return named[1]
