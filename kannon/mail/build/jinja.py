"""Templates of engine `jinja`: conditions, loops and filters, rendered by minijinja.

In: the texts of a batch; then one recipient's values, any JSON. Out: HTML, text and subject. HTML escapes a value,
an href of a link also percent-encodes it as its place in the URL demands, text and subject take it as it is; `| safe`
inserts HTML. A missing variable raises MissingField unless `default` or `is defined` expects it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from minijinja import Environment, Markup, TemplateError

from kannon.mail.build.jinja_filters import FILTERS, bounded_range, to_readable
from kannon.mail.build.jinja_syntax import Tag, TemplateFault, longest_repeated, split_tags
from kannon.mail.build.links import FlatTemplate, find_pieces
from kannon.mail.build.placeholders import Placeholder
from kannon.mail.build.render import RenderContext, html_parts
from kannon.mail.build.text import html_to_text

MAX_OUTPUT = 2 << 20
"""Characters of a rendered text."""
_FUEL = 50_000  # steps of one text: about 2 ms
_LOOP_OUTPUT = 16 << 20  # characters that literals in loops may write before the fuel ends
_HTML, _TEXT, _SUBJECT = "html", "text", "subject"
_QUOTE = "__percent_encode"


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
    """The compiled texts. Raises TemplateFault. Not for several
    threads at once."""

    def __init__(self, *, html: str, text: str, subject: str) -> None:
        self._printed = 0
        self._texts: dict[str, Environment] = {}
        for name, source in ((_HTML, html), (_TEXT, text), (_SUBJECT, subject)):
            if source:
                self._texts[name] = self._compile(name, source)
        self._has_text = bool(text)
        self._has_html = bool(html)

    def render(self, values: Mapping[str, Any]) -> Rendered:
        """Raises RenderError."""
        return Rendered(*[self._render(name, values) for name in (_HTML, _TEXT, _SUBJECT)])

    def render_subject(self, values: Mapping[str, Any]) -> str:
        return self._render(_SUBJECT, values)

    def render_html(self, context: RenderContext) -> str:
        """With tracking."""
        rendered = self._render(_HTML, context.fields)
        parts = html_parts(find_pieces(FlatTemplate([rendered])))
        return "".join([part if isinstance(part, str) else part(context) for part in parts])

    def render_text(self, context: RenderContext) -> str:
        if self._has_text:
            return self._render(_TEXT, context.fields)
        return html_to_text(self._render(_HTML, context.fields)) if self._has_html else ""

    def _compile(self, name: str, source: str) -> Environment:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
        try:
            parts = split_tags(source)
        except TemplateFault as fault:
            raise TemplateFault(fault.problem, fault.line, fault.column, name) from None
        environment = Environment(
            undefined_behavior="strict",
            auto_escape_callback=lambda each: each == _HTML,
            finalizer=self._count,
            fuel=min(_FUEL, 1000 + _LOOP_OUTPUT // max(1, longest_repeated(parts))),
            keep_trailing_newline=True,
            pycompat=False,
        )
        for each, function in FILTERS.items():
            environment.add_filter(each, function)
        environment.add_filter(_QUOTE, _percent_encode)
        environment.add_global("range", bounded_range)
        try:
            environment.add_template(name, source)  # for the places of its faults
            if name == _HTML:
                environment.add_template(name, _percent_encoded(parts))
        except TemplateError as error:
            raise _fault(name, source, error) from None
        return environment

    def _render(self, name: str, values: Mapping[str, Any]) -> str:
        if name not in self._texts:
            return ""
        self._printed = 0
        try:
            rendered = self._texts[name].render_template(name, **to_readable(values))
        except TemplateError as error:
            raise _render_error(name, error) from None
        except ValueError as error:  # of a filter, or of `_count`
            raise RenderError(f"{name}: {error}") from None
        except TypeError as error:  # a filter was called with other arguments than it has
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


def _percent_encode(value: object, safe: str) -> object:
    return value if isinstance(value, Markup) else quote(str(value), safe=safe, errors="replace")


def _percent_encoded(parts: list[str | Tag]) -> str:
    """The source again, with a filter at each expression within an href."""
    segments = [p if isinstance(p, str) else Placeholder(p.name, raw=False, source=p.source) for p in parts]
    flat = FlatTemplate(segments)
    find_pieces(flat)  # sets url_safe
    tags = [part for part in parts if isinstance(part, Tag)]
    placed = iter(zip(tags, flat.placeholders, strict=True))
    written: list[str] = []
    for part in parts:
        if isinstance(part, str):
            written.append(part)
            continue
        tag, placeholder = next(placed)
        if tag.name or placeholder.url_safe is None:
            written.append(tag.source)
        else:
            before, after = tag.source[:3].removeprefix("{{"), tag.source[-3:].removesuffix("}}")
            left, right = before if before == "-" else "", after if after == "-" else ""
            safe = placeholder.url_safe.replace("'", "\\'")
            written.append(f"{{{{{left} ({tag.inner})|{_QUOTE}('{safe}') {right}}}}}")
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
        return MissingField(detail.split("`")[1] if detail.count("`") >= 2 else "of an expression")
    if error.kind == "OutOfFuel":
        return RenderError(f"{name}: the template takes too many steps (line {error.line})")
    return RenderError(f"{name}: {detail or error.kind} (line {error.line})")
