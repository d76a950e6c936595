"""Templates of engine `jinja`: conditions, loops and filters, rendered by minijinja.

In: the texts of a batch; then one recipient's values, any JSON. Out: HTML, text and subject. HTML escapes a value,
an href of a link also percent-encodes it as its place in the URL demands, text and subject take it as it is; `| safe`
inserts HTML. A missing variable raises MissingField unless `default` or `is defined` expects it.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from minijinja import Environment, Markup, TemplateError

from kannon.mail.build.jinja_filters import FILTERS, bounded_range, renamed, without_methods
from kannon.mail.build.jinja_structure import Source, read_source
from kannon.mail.build.jinja_syntax import (
    METHODS,
    RENAMED,
    Tag,
    TemplateFault,
    longest_repeated,
    names_attribute,
    split_tags,
)
from kannon.mail.build.links import FlatTemplate, find_pieces
from kannon.mail.build.placeholders import Placeholder

MAX_OUTPUT = 2 << 20
"""Characters of a rendered text."""
HTML, TEXT, SUBJECT = "html", "text", "subject"
MARK = "\0"
"""Neither a template nor a value can have it: PostgreSQL does not store it."""
_FUEL = 50_000  # steps of one text: about 2 ms
_LOOP_OUTPUT = 16 << 20  # characters that literals in loops may write before the fuel ends
_MARKED = "html in pieces"
_PRINTED_NONE = "none"  # unless `_count` sees it
_URL_FILTERS = "__url", "__raw_url"  # a template's names begin with a letter: see jinja_syntax.FILTERS


class RenderError(ValueError):
    """The mail cannot be rendered from its values."""


class MissingField(RenderError):
    """`name` is as written in the template, e.g. `order.total`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"missing_field {name}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Rendered:
    """`html` is without tracking. `text` empty: it is made from the HTML."""

    html: str
    text: str
    subject: str


class JinjaTemplate:
    """The compiled texts. Raises TemplateFault. Not for several threads at once."""

    def __init__(self, *, html: str, text: str, subject: str) -> None:
        self._printed = 0
        self._environment = _environment(self._count)
        self._pieces = _environment(None)
        self._parts: dict[str, list[str | Tag]] = {}
        for name, source in ((HTML, html), (TEXT, text), (SUBJECT, subject)):
            if source:
                self._parts[name] = self._compile(name, source)
        longest = max(map(longest_repeated, self._parts.values()), default=0)
        self._environment.fuel = self._pieces.fuel = min(_FUEL, 1000 + _LOOP_OUTPUT // max(1, longest))
        tags = [part.inner for parts in self._parts.values() for part in parts if isinstance(part, Tag)]
        self._hides_methods = any(names_attribute(inner, METHODS) for inner in tags)
        self.has_html = HTML in self._parts
        self.has_text = TEXT in self._parts

    def render(self, values: Mapping[str, Any]) -> Rendered:
        """Raises RenderError."""
        readable = self.readable(values)
        return Rendered(self.render_html(readable), self.render_text(readable), self.render_subject(readable))

    def readable(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the methods below take: the values without methods of Python's objects, if a tag may name one."""
        if not METHODS.isdisjoint(values):
            values = renamed(values)
        return without_methods(values) if self._hides_methods else dict(values)

    def render_html(self, values: dict[str, Any]) -> str:
        return self._render(HTML, values, self._environment)

    def render_text(self, values: dict[str, Any]) -> str:
        return self._render(TEXT, values, self._environment)

    def render_subject(self, values: dict[str, Any]) -> str:
        return self._render(SUBJECT, values, self._environment)

    def html_source(self) -> Source:
        return read_source(self._parts.get(HTML, []))

    def mark_literals(self, source: Source, linked: Mapping[int, Placeholder]) -> None:
        """Prepares `render_pieces`. `linked`: the places of tags that are in an href."""
        written = [f"{MARK}0{MARK}"]
        for i, tag in enumerate(source.tags):
            place = linked.get(i)
            if tag.name:
                written.append(f"{{% {tag.inner} %}}")
            elif place is not None:
                name = _URL_FILTERS[place.raw]
                written.append(f"{{{{ ({tag.inner})|{name}({_literal(place.url_safe)}) }}}}")
            else:
                written.append(f"{{{{ {tag.inner} }}}}")
            written.append(f"{MARK}{i + 1}{MARK}")
        for environment in (self._environment, self._pieces):
            environment.add_template(_MARKED, "".join(written))

    def render_pieces(self, values: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Numbers of literals, and the value behind each, which is empty where a statement follows.

        The output is not counted here: `render` has, when the send was accepted.
        """
        rendered = self._render(_MARKED, values, self._pieces).split(MARK)
        if _PRINTED_NONE in rendered:
            rendered = self._render(_MARKED, values, self._environment).split(MARK)
        return rendered[1::2], rendered[2::2]

    def _compile(self, name: str, source: str) -> list[str | Tag]:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
        try:
            parts = split_tags(source)
        except TemplateFault as fault:
            raise TemplateFault(fault.problem, fault.line, fault.column, name) from None
        try:
            self._environment.add_template(name, source)  # for the places of its faults
            self._environment.add_template(name, _rewritten(parts, percent_encode=name == HTML))
        except TemplateError as error:
            raise _fault(name, source, error) from None
        return parts

    def _render(self, name: str, values: dict[str, Any], environment: Environment) -> str:
        if name != _MARKED and name not in self._parts:
            return ""
        self._printed = 0
        try:
            rendered = environment.render_template(name, **values)
        except TemplateError as error:
            raise _render_error(name, error) from None
        except (ValueError, TypeError) as error:  # of a filter; it was called with other arguments than it has
            raise RenderError(f"{name}: {error}") from None
        if len(rendered) > MAX_OUTPUT:
            raise RenderError(f"{name}: the output has more than {MAX_OUTPUT} characters")
        return rendered

    def _count(self, value: object) -> object:
        """Each printed value comes here, so that the output is stopped before it has used the memory."""
        self._printed += len(value) if isinstance(value, str) else 20
        if self._printed > MAX_OUTPUT:
            raise ValueError(f"the output has more than {MAX_OUTPUT} characters")
        return "" if value is None else value


def _environment(finalizer: Any) -> Environment:
    environment = Environment(
        undefined_behavior="strict",
        auto_escape_callback=lambda name: name in (HTML, _MARKED),
        finalizer=finalizer,
        keep_trailing_newline=True,
        pycompat=False,
    )
    for each, function in FILTERS.items():
        environment.add_filter(each, function)
    environment.add_filter(_URL_FILTERS[0], _link_value)
    environment.add_filter(_URL_FILTERS[1], _raw_link_value)
    environment.add_filter("__percent_encode", _percent_encode)
    environment.add_global("range", bounded_range)
    return environment


def _percent_encode(value: object, safe: str) -> object:
    return value if isinstance(value, Markup) else quote(str(value), safe=safe, errors="replace")


def _link_value(value: object, safe: str | None) -> Markup:
    """A value of a link whose HTML is written later: not escaped here."""
    if isinstance(value, Markup):
        return value
    text = "" if value is None else str(value)
    return Markup(text if safe is None else quote(text, safe=safe, errors="replace"))


def _raw_link_value(value: object, safe: str | None) -> Markup:
    """A value of a link that is inserted as HTML unless it is not marked as such."""
    return value if isinstance(value, Markup) else Markup(html.escape(_link_value(value, safe)))


def _literal(text: str | None) -> str:
    return "none" if text is None else "'" + text.replace("'", "\\'") + "'"


def _rewritten(parts: list[str | Tag], *, percent_encode: bool) -> str:
    """The source again, with variables renamed, and a filter at each expression within an href."""
    segments = [p if isinstance(p, str) else Placeholder(p.name, raw=False, source=p.source) for p in parts]
    flat = FlatTemplate(segments)
    if percent_encode:
        find_pieces(flat)  # sets url_safe
    placed = iter(flat.placeholders)
    written: list[str] = []
    for part in parts:
        if isinstance(part, str):
            written.append(part)
            continue
        placeholder = next(placed)
        if part.name in ("#", "endraw"):
            written.append(part.source)
            continue
        opening, closing = ("{%", "%}") if part.name else ("{{", "}}")
        inner = part.inner
        if not part.name and placeholder.url_safe is not None:
            inner = f" ({inner})|__percent_encode({_literal(placeholder.url_safe)}) "
        written += opening, "-" * part.trims_before, inner, "-" * part.trims_after, closing
    return "".join(written)


def _fault(name: str, source: str, error: TemplateError) -> TemplateFault:
    line = error.line or 1
    span = error.range
    at = len(source.encode()[: span[0]].decode(errors="ignore")) if span else 0
    column = at - source.rfind("\n", 0, at) if span else 1
    return TemplateFault(error.detail or error.kind, line, column, name)


def _render_error(name: str, error: TemplateError) -> RenderError:
    detail = error.detail or ""
    if error.kind == "UndefinedError":
        name = detail.split("`")[1] if detail.count("`") >= 2 else "of an expression"
        return MissingField(name.removeprefix(RENAMED))
    if error.kind == "OutOfFuel":
        return RenderError(f"{name}: the template takes too many steps (line {error.line})")
    return RenderError(f"{name}: {detail or error.kind} (line {error.line})")
