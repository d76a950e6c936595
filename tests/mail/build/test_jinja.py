"""Templates of engine jinja: what is rendered, what is refused with its place, and what an attack ends in."""

import time
from pathlib import Path

import pytest

from kannon.mail.build.jinja import MAX_OUTPUT, JinjaTemplate, MissingField, RenderError
from kannon.mail.build.jinja_syntax import TemplateFault

VALUES = {
    "q": "<a&'\"b c",
    "p": "a/b",
    "n": {"x": [1]},
    "big": "b" * 250_000,
    "lst": ["a"] * 50_000,
    "z": None,
    "m": "items",
}


def html(source: str, **values: object) -> str:
    return JinjaTemplate(html=source, text="", subject="").render({**VALUES, **values}).html


def test_each_place_has_its_escaping() -> None:
    template = JinjaTemplate(
        html='<a href="https://x/{{ p }}?q={{ q }}&r={{ q|url }}" title="{{ q }}">{{ q }}</a>{{ q|safe }}',
        text="{{ q }}",
        subject="{{ q }}",
    )
    rendered = template.render(VALUES)
    encoded, escaped = "%3Ca%26%27%22b%20c", "&lt;a&amp;&#x27;&quot;b c"
    assert rendered.html == (
        f'<a href="https://x/a&#x2f;b?q={encoded}&r={encoded}" title="{escaped}">{escaped}</a>{VALUES["q"]}'
    )
    assert rendered.text == rendered.subject == VALUES["q"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% for i in items %}{{ loop.index }}:{{ i.name }};{% endfor %}", "1:A;2:B;"),
        ("{% if total > 2 %}many{% elif total %}some{% else %}none{% endif %}", "many"),
        ("{{ 1234.5|money('EUR') }} {{ '2026-01-02T03:04:05Z'|date('%d %b') }}", "1,234.50 EUR 02 Jan"),
        ("{{ 2|times(1.5) }} {{ [1, 2]|join(', ') }} {{ 'a'|upper }} {{ absent|default('-') }}", "3 1, 2 A -"),
        ("{% for k, v in order|items %}{{ k }}={{ v }} {% endfor %}{{ order.items }}", "items=7 7"),
        ("{{ keys|default('k') }}{% if count is defined %}no{% endif %}{{ [3, 1]|sort(reverse=true)|join }}", "k31"),
        ("{% for values in items %}{{ values.name }}{% endfor %}{% set index = 1 %}{{ index -}}  x", "AB1x"),
        ("{% raw %}{{ total }}{% endraw %}{# no #}{{ z }}{{ 'a }}' }}", "{{ total }}a }}"),
    ],
)
def test_statements_and_filters(source: str, expected: str) -> None:
    assert html(source, items=[{"name": "A"}, {"name": "B"}], total=3, order={"items": 7}) == expected


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ absent }}", "absent"),
        ("{% if absent %}{% endif %}", "absent"),
        ("{{ n.absent.more }}", "n.absent"),
        ("{{ n.__class__ }}", "n.__class__"),
        ("{{ n.x.append }}", "n.x.append"),
        ("{{ n.keys }}", "n.keys"),
        ("{{ n['items'] }}", "n['items']"),
        ("{{ n['it' ~ 'ems'] }}", "n['items']"),
        ("{{ n[m] }}", "n[...]"),
        ("{{ n[['items'][0]] }}", "(...)[...]"),
        ("{{ n['\\x69tems'] }}", "n['items']"),
        ("{{ (n).copy }}", "n.copy"),
        ("{% for values in lst %}{{ count }}{% endfor %}", "count"),
        ("{{ keys }}", "keys"),
        ("{{ ''.__class__.__mro__ }}", "(...).__class__"),
    ],
)
def test_a_missing_variable_is_named(source: str, name: str) -> None:
    with pytest.raises(MissingField) as error:
        html(source)
    assert error.value.name == name


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("a\n  {{ z|absent }}", 2, 8),
        ("a\n  {{ z| }}", 2, 9),
        ("{% if z is absent %}{% endif %}", 1, 12),
        ("{% include 'x' %}", 1, 1),
        ("{% macro f() %}{% endmacro %}", 1, 1),
        ("{{ n.keys() }}", 1, 10),
        ("{{ 'x' * 1000000000 }}", 1, 8),
        ("{% set a = q ~ q %}", 1, 14),
        ("{% set a %}x{% endset %}", 1, 3),
        ("{{ " + "-" * 900 + "1 }}", 1, 5),
        ("{{ " + "(" * 450 + "1" + ")" * 450 + " }}", 1, 78),
        ("{% if z %}" * 40, 1, 301),
        ("{{ z", 1, 1),
        ("{% for a in lst %}", 1, 19),
    ],
)
def test_a_broken_template_is_refused_with_its_place(source: str, line: int, column: int) -> None:
    with pytest.raises(TemplateFault) as error:
        html(source)
    assert (error.value.line, error.value.column) == (line, column)


def test_a_template_has_a_bounded_number_of_tags() -> None:
    with pytest.raises(TemplateFault, match="at most 2000 tags"):
        html("{{ z }}" * 5000)


ATTACKS = [
    "{{ range(1000000000) }}",
    "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
    "{% for i in range(9999) %}" + "y" * 2000 + "{% endfor %}",
    "{% for i in range(9999) %}{{ big }}{% endfor %}",
    "{{ big }}" * (MAX_OUTPUT // 250_000 + 1),
    "{% for i in range(9999) %}{{ big ~ big ~ big ~ big }}{% endfor %}",
    "{{ lst|join(big) }}",
    "{% for i in range(9999) %}{{ lst|join('--') }}{% endfor %}",
    "{% for i in range(9999) %}{{ lst }}{% endfor %}",
    "{% for i in range(9999) %}{{ range(9999) }}{% endfor %}",
    "{{ 'a'|date('%99999d') }}",
    "{{ 1|money('x', 9999999) }}",
    "{{ q|money }}",
    "{{ 1|money(1, 2, 3, 4) }}",
]


@pytest.mark.parametrize("source", ATTACKS)
def test_an_attack_ends_in_an_error_of_that_mail(source: str) -> None:
    template = JinjaTemplate(html=source, text="", subject="")
    with pytest.raises(RenderError, match=r"\Ahtml: "):
        template.render(VALUES)
    assert html("{{ n.x[0] }}") == "1"


def _peak_kilobytes() -> int:
    """The most memory that this process has had since 5 was written to clear_refs (proc(5))."""
    (line,) = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1])


@pytest.mark.serial
@pytest.mark.parametrize("source", ATTACKS)
def test_an_attack_takes_neither_time_nor_memory(source: str) -> None:
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _peak_kilobytes(), time.process_time()
    with pytest.raises(RenderError):
        JinjaTemplate(html=source, text="", subject="").render(VALUES)
    assert time.process_time() - start < 0.1
    assert _peak_kilobytes() - before < 50 << 10
