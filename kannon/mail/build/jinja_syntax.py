"""What a jinja template may contain: checked when it is saved or sent, before minijinja sees it.

In: a template's text. Out: its literals and tags, or TemplateFault with line and column. A renderer's limits (fuel,
recursion) bound steps, not memory: values are never stored and joined in turn, so that none can double itself, and
each tag is short, because minijinja's parser descends into each operator.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

_FILTER_WORDS = (
    "abs bool capitalize count d date default dictsort e escape first float int items join last length list "
    "lower max min money reverse round safe sort string sum times title trim unique upper url"
)
FILTERS = frozenset(_FILTER_WORDS.split())
_TEST_WORDS = (
    "boolean defined divisibleby eq even false float ge gt in integer iterable le lt ne none number "
    "odd sequence string true undefined"
)
_TESTS = frozenset(_TEST_WORDS.split())
_FUNCTIONS = frozenset({"range"})
BLOCKS = {"if": "endif", "for": "endfor", "with": "endwith"}
_STATEMENTS = frozenset({*BLOCKS, *BLOCKS.values(), "elif", "else", "set", "raw", "endraw"})
PARTIALS = frozenset({"include", "extends", "block", "endblock"})
"""Statements that kannon.mail.build.jinja_partials replaces before a template is compiled."""
_TRANSIENT = frozenset({"if", "elif"})
METHODS = frozenset(name for name in (*dir(dict), *dir(list)) if not name.startswith("_"))
"""Where a key is missing, minijinja looks for an attribute of Python's dict or list."""
RENAMED = "v__"
"""Put before variables that are called like one of METHODS: as a key of the values it would always be there."""
_MAX_TAG = 1000
_MAX_NAMES = 50  # of one tag: bounds what it can join
_MAX_TAGS = 2000
_MAX_DEPTH = 30
_TAG = re.compile(r"\{\{|\{%|\{#")
_ENDS = {"{{": "}}", "{%": "%}", "{#": "#}"}
_ENDRAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_TOKEN = re.compile(
    r"""\s+|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<name>[^\W\d]\w*)|(?P<number>\d[\w.]*)"""
    r"""|(?P<operator>\*\*|//|==|!=|<=|>=|.)""",
    re.DOTALL,
)


class TemplateFault(ValueError):
    """`line` and `column` from 1. `text_name`: html, text or subject."""

    def __init__(self, problem: str, line: int, column: int, text_name: str = "html") -> None:
        super().__init__(f"{text_name}: {problem} (line {line}, column {column})")
        self.problem = problem
        self.line = line
        self.column = column
        self.text_name = text_name


@dataclass(frozen=True, slots=True)
class Tag:
    """`source` as written; `inner` is what stands between the braces, with variables renamed (RENAMED). `name`: of a
    statement, empty for an expression, `#` for a comment. `start` is its place in the text."""

    source: str
    inner: str
    name: str
    start: int

    @property
    def trims_before(self) -> bool:
        return self.source[2:3] == "-" and self.name != "endraw"

    @property
    def trims_after(self) -> bool:
        return self.source[-3:-2] == "-" and len(self.source) > 5

    @property
    def raw_text(self) -> str:
        """Of `endraw`: the text before it."""
        text, _, end = self.source.rpartition("{%")
        return text.rstrip() if end.startswith("-") else text


def has_word(inner: str, word: str) -> bool:
    """Whether a tag has a name, outside of its strings."""
    return any(token["name"] == word for token in _TOKEN.finditer(inner))


def names_attribute(inner: str, attributes: Collection[str]) -> bool:
    """Whether a tag may read one of these attributes: by its name, in a string, or by a key that is not a constant."""
    no_token = ("", "", 0)
    tokens = [no_token, *_tokens(inner, 0), no_token, no_token]
    for i, (kind, word, _) in enumerate(tokens[:-2]):
        kind_before, before, _ = tokens[i - 1]
        if kind == "name" and before == "." and word in attributes:
            return True
        if kind == "string" and (word[1:-1] in attributes or "\\" in word):
            return True
        constant = tokens[i + 1][0] in ("number", "string") and tokens[i + 2][1] in ("]", ":") if word == "[" else True
        if not constant and (kind_before in ("name", "string") or before in (")", "]")):
            return True
    return False


def _rename(inner: str, names: Collection[str]) -> str:
    """With RENAMED before each variable that has one of these names. Attributes, filters and named arguments stay."""
    written, depth = "", 0
    tokens = list(_TOKEN.finditer(inner))
    words = [token for token in tokens if token.lastgroup]
    after = {token.start(): following[0] for token, following in pairwise(words)}
    before = ""
    for token in tokens:
        word = token[0]
        depth += (word == "(") - (word == ")")
        is_argument = depth > 0 and after.get(token.start()) == "="
        if token["name"] and word in names and before not in (".", "|") and not is_argument:
            written += RENAMED
        written += word
        before = word if token.lastgroup else before
    return written


def fault_at(text: str, at: int, problem: str) -> TemplateFault:
    return TemplateFault(problem, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def split_tags(text: str, more: frozenset[str] = frozenset()) -> list[str | Tag]:
    """Raises TemplateFault. Joined with each tag's `source` they are the text again. `more` statements are allowed."""
    parts: list[str | Tag] = []
    open_blocks: list[str] = []
    depth = done = 0
    while (found := _TAG.search(text, done)) is not None:
        start = found.start()
        if len(parts) > 2 * _MAX_TAGS:
            raise fault_at(text, start, f"a template has at most {_MAX_TAGS} tags")
        if start > done:
            parts.append(text[done:start])
        tag = _read_tag(text, start, more)
        done = start + len(tag.source)
        parts.append(tag)
        if tag.name == "raw":
            end = _ENDRAW.search(text, done)
            if end is None:
                raise fault_at(text, start, "raw has no endraw")
            parts.append(Tag(text[done : end.end()], "", "endraw", done))
            done = end.end()
        elif tag.name in BLOCKS or tag.name == "block":
            open_blocks.append(BLOCKS.get(tag.name, "endblock"))
            depth += 1
        elif tag.name == "elif":
            depth += 1
        elif tag.name.startswith("end"):
            if not open_blocks or open_blocks.pop() != tag.name:
                raise fault_at(text, start, f"unexpected {tag.name}")
            depth = depth - 1 if open_blocks else 0
        if depth > _MAX_DEPTH:
            raise fault_at(text, start, f"more than {_MAX_DEPTH} blocks within each other")
    if open_blocks:
        raise fault_at(text, len(text), f"{open_blocks[-1]} is missing")
    if done < len(text):
        parts.append(text[done:])
    return parts


def longest_repeated(parts: list[str | Tag]) -> int:
    """Characters of the longest literal within a loop."""
    loops = longest = 0
    for part in parts:
        if isinstance(part, Tag):
            loops += (part.name == "for") - (part.name == "endfor")
        if loops and not (isinstance(part, Tag) and part.name != "endraw"):
            longest = max(longest, len(part.source if isinstance(part, Tag) else part))
    return longest


def _read_tag(text: str, start: int, more: frozenset[str]) -> Tag:
    opening = text[start : start + 2]
    closing = _ENDS[opening]
    if opening == "{#":
        end = text.find(closing, start + 2)
        if end < 0:
            raise fault_at(text, start, "the comment is not closed")
        return Tag(text[start : end + 2], "", "#", start)
    end = _find_end(text, start + 2, closing)
    inner = text[start + 2 : end]
    bare = inner.removeprefix("-").removeprefix("+").removesuffix("-").removesuffix("+")
    offset = start + 2 + (len(inner) > 0 and inner[0] in "-+")
    name = ""
    if opening == "{%":
        word = re.match(r"\s*(\w*)", bare)
        name = word[1] if word else ""
        if name not in _STATEMENTS and name not in more:
            raise fault_at(text, start, f'"{name[:50]}" is not a statement of templates')
    _check_tokens(text, offset, bare, name)
    return Tag(text[start : end + 2], _rename(bare, METHODS), name, start)


def _find_end(text: str, at: int, closing: str) -> int:
    """Strings may contain the closing braces; a mapping's braces may not touch them."""
    limit = at + _MAX_TAG
    for token in _TOKEN.finditer(text, at):
        if token.start() > limit:
            raise fault_at(text, at - 2, f"the tag is longer than {_MAX_TAG} characters")
        if token["operator"] and text.startswith(closing, token.start()):
            return token.start()
    raise fault_at(text, at - 2, f"the tag is not closed by {closing}")


def _tokens(inner: str, start: int) -> Iterator[tuple[str, str, int]]:
    for token in _TOKEN.finditer(inner):
        if token.lastgroup:
            yield token.lastgroup, token[0], start + token.start()


def _check_tokens(text: str, start: int, inner: str, statement: str) -> None:
    names = 0
    before = ("", "", 0)
    before_that = ("", "", 0)
    for token in _tokens(inner, start):
        kind, word, at = token
        names += kind in ("name", "string")
        if names > _MAX_NAMES:
            raise fault_at(text, at, f"a tag has at most {_MAX_NAMES} names")
        if kind == "name" and before[1] == "|" and word not in FILTERS:
            raise fault_at(text, at, f'there is no filter "{word[:50]}"')
        is_test = before[1] == "is" or (before[1] == "not" and before_that[1] == "is")
        if kind == "name" and is_test and word != "not" and word not in _TESTS:
            raise fault_at(text, at, f'there is no test "{word[:50]}"')
        if word in ("*", "**"):
            raise fault_at(text, at, "there is no operator *; use the filter times: price|times(quantity)")
        if word in ("+", "~") and statement and statement not in _TRANSIENT:
            raise fault_at(text, at, f'"{word}" can be used in {{{{ }}}} and if, not in {statement}')
        if word == before[1] and word in ("-", "+", "not"):
            raise fault_at(text, at, f'"{word}" stands twice')
        if word == "(" and not _may_call(before, before_that):
            raise fault_at(text, at, f'"{before[1][:50]}" cannot be called')
        before_that, before = before, token
    if statement == "for" and re.search(r"\brecursive\b", inner):
        raise fault_at(text, start, "a loop cannot be recursive")
    if statement == "set" and "=" not in inner:
        raise fault_at(text, start, "set needs a value: {% set name = value %}")


def _may_call(before: tuple[str, str, int], before_that: tuple[str, str, int]) -> bool:
    kind, word, _ = before
    if kind == "name":
        keyword = word in ("if", "elif", "in", "not", "and", "or", "else", "is")
        return keyword or before_that[1] in ("|", "is", "not") or (word in _FUNCTIONS and before_that[1] != ".")
    return kind != "string" and word not in (")", "]", "}")
