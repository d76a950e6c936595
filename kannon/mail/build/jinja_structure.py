"""The HTML structure of a jinja template, if it is the same for every recipient.

In: a template's literals and tags. Out: its flat text, in which a mark replaces each tag, and whether links, pixel and
text part can be found there once instead of in each rendered mail. They can if each statement stands between HTML tags,
or a block as a whole within one attribute value, comment or raw text: then whatever the statements leave out or repeat
begins and ends in the same state of the HTML tokenizer.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kannon.mail.build.html import TOKEN, attribute_values
from kannon.mail.build.jinja_syntax import BLOCKS, Tag, has_word
from kannon.mail.build.links import FlatTemplate, Link, Pixel, find_pieces
from kannon.mail.build.placeholders import Placeholder

_BETWEEN, _UNKNOWN = -1, -2  # regions; others are the place where a value, comment or raw text begins
_UNFINISHED = re.compile(r"<[!/?]?-?\Z")  # becomes a tag by what follows


@dataclass(frozen=True, slots=True)
class Source:
    """`literals` has one item more than `tags`: each tag stands between two of them. Comments are left out, the text of
    `raw` is literal, and white space is trimmed as the tags demand."""

    literals: Sequence[str]
    tags: Sequence[Tag]

    def flat(self) -> FlatTemplate:
        """Placeholder i is tag i; `raw` if it inserts HTML."""
        segments: list[str | Placeholder] = [self.literals[0]]
        for i, tag in enumerate(self.tags):
            raw = not tag.name and has_word(tag.inner, "safe")
            segments += [Placeholder(str(i), raw=raw, source=tag.source), self.literals[i + 1]]
        return FlatTemplate([segment for segment in segments if segment])


def read_source(parts: Sequence[str | Tag]) -> Source:
    """`parts` as `split_tags` returns them."""
    literals, tags = [""], list[Tag]()
    trim = False
    for part in parts:
        if isinstance(part, str):
            literals[-1] += part.lstrip() if trim else part
            trim = False
            continue
        if part.trims_before:
            literals[-1] = literals[-1].rstrip()
        if part.name == "endraw":
            literals[-1] += part.raw_text.lstrip() if trim else part.raw_text
        trim = part.trims_after
        if part.name == "endraw":
            continue
        if part.name not in ("raw", "#"):
            tags.append(part)
            literals.append("")
    return Source(literals, tags)


def is_static(source: Source, flat: FlatTemplate) -> bool:
    """Whether `find_pieces(flat)` finds the links and the pixel of every mail."""
    regions = list(_regions(flat))
    open_blocks: list[int] = []
    for i, tag in enumerate(source.tags):
        if not tag.name:
            continue
        region = regions[i]
        if region == _UNKNOWN or has_word(tag.inner, "safe"):
            return False
        if region == _BETWEEN and _UNFINISHED.search(source.literals[i]):
            return False
        if tag.name in BLOCKS:
            open_blocks.append(region)
        elif tag.name == "set":
            if region != _BETWEEN:
                return False
        elif open_blocks[-1] != region:
            return False
        if tag.name.startswith("end"):
            open_blocks.pop()
    return _links_and_pixel_stand_alone(source, flat)


def _links_and_pixel_stand_alone(source: Source, flat: FlatTemplate) -> bool:
    """No statement in an href, and the pixel in no block."""
    depth = 0
    for piece in find_pieces(flat):
        if isinstance(piece, Link):
            if any(isinstance(each, Placeholder) and source.tags[int(each.key)].name for each in piece.source):
                return False
        elif isinstance(piece, Pixel):
            if depth:
                return False
        elif not isinstance(piece, str):
            key = piece.key if isinstance(piece, Placeholder) else piece.placeholder.key
            name = source.tags[int(key)].name
            depth += (name in BLOCKS) - name.startswith("end")
    return True


def _regions(flat: FlatTemplate) -> Iterator[int]:
    """Of each tag, in order."""
    text, mark = flat.text, flat.mark
    at = text.find(mark)
    for start, end, region in _spans(text):
        while 0 <= at < end:
            yield _BETWEEN if at < start else region
            at = text.find(mark, text.index(mark, at + 1) + 1)
    while at >= 0:
        yield _BETWEEN
        at = text.find(mark, text.index(mark, at + 1) + 1)


def _spans(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, region) of everything that is not between tags."""
    for token in TOKEN.finditer(text):
        start, end = token.span()
        kind = token.lastgroup
        if kind == "closed":
            done = start
            for value_start, value_end, quoted in attribute_values(text, *token.span("attributes")):
                yield done, value_start, _UNKNOWN
                yield value_start, value_end, value_start if quoted else _UNKNOWN
                done = value_end
            yield done, end, _UNKNOWN
        elif kind in ("end", "attributes"):
            yield start, end, _UNKNOWN
        elif kind == "raw":
            inner = text.index(">", start, end) + 1 if ">" in text[start:end] else end
            yield start, inner, _UNKNOWN
            yield inner, end, inner
        else:
            yield start, end, start
