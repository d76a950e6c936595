"""A template whose structure is static makes the mail that parsing each rendered HTML makes; others are parsed."""

import hashlib
import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.batch import Engine
from kannon.mail.build import jinja_body
from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.build.jinja_body import JinjaBody
from kannon.mail.build.links import find_pieces
from kannon.mail.build.mime import build_skeleton
from kannon.mail.build.quoted_printable import relax_body
from kannon.mail.build.render import RenderContext
from kannon.mail.build.template import compile_batch
from kannon.mail.build.tracking_urls import TrackingUrls
from kannon.mail.tracking import IDENTIFIED, OFF, TrackingPolicy
from tests.support.effort import examples
from tests.support.mail import NOW, assert_fit_for_smtp, batch, delivery, settings, texts, verifies

NASTY = ["a", "", "<a&'\"b c", "ü", "x" * 200, " lead", "trail ", "x\r\ny", "=", "a  b", "\x01\x02", "\ue000", "."]
URLS = ["a  b", "https://x.example/ä?b=c", "javascript:alert(1)", "a b"]
FLAT = [
    "text ", " ", "\n  ", "{{ a }}", "{{ b|upper }}", "{{ markup|safe }}", "{{- a -}}", "{% raw %}{{ a }}{% endraw %}",
    "{# c #}", "<p>", "</p>", '<a href="x  y">', "<br>", "<td>x", "<b title='{{ a }}'>", "&amp;", "é", "=",
    "<!-- {{ a }} -->", "<hr>", "<pre> x\n y",
    '<a href="https://x.example/{{ a }}?q={{ b }}&amp;c=1">', '<a href="{{ url }}">', "</a>", "{% set c = a %}{{ c }}",
    '<a href="https://x.example/imprint">i</a>', '<img alt="{{ a }}">', "<style>{{ a }}</style>", "<ul>", "</ul>",
    "<li>", "</body>", "long " * 30, '<a href="https://x.example/" data-no-track>n</a>', "{{ a }}{{ b }}",
    "<ol>", "</ol>", "<table>", "<tr>", "</tr>", "</table>",
    '<a href="mailto:{{ a }}">m', '<a href="https://x.example/{{ a }}">{{ b }}</a>',
]  # fmt: skip
BLOCKS = [
    "{%% if yes %%}%s{%% endif %%}",
    "{%%- if no -%%}%s{%%- endif -%%}",
    "{%% if no %%}<p>no</p>{%% else %%}%s{%% endif %%}",
    "{%% for i in three %%}%s{{ i }}{%% endfor %%}",
    "<tr>{%% for i in three %%}<td>%s</td>{%% endfor %%}</tr>",
    "{%% for i in none %%}%s{%% else %%}<p>none{%% endfor %%}",
    "{%% with d = a %%}{{ d }}%s{%% endwith %%}",
]
PIECES = st.recursive(
    st.lists(st.sampled_from(FLAT), max_size=5).map("".join),
    lambda inner: st.tuples(st.sampled_from(BLOCKS), inner, st.sampled_from(FLAT)).map(lambda t: t[0] % t[1] + t[2]),
    max_leaves=6,
)
TEMPLATES = st.lists(PIECES, max_size=4).map("".join)
VALUES = st.fixed_dictionaries(
    {"a": st.sampled_from(NASTY), "b": st.sampled_from(NASTY), "url": st.sampled_from([*NASTY, *URLS])}
)
REST = {
    "yes": True,
    "no": False,
    "three": [1, 2, 3],
    "none": [],
    "markup": '<p>m  <a href="https://x.example/m">l</a> &amp; b',
}
POLICIES = st.sampled_from([OFF, IDENTIFIED])


def mail(html: str, values: dict[str, Any], policy: TrackingPolicy = OFF) -> bytes:
    plain = batch(html, subject="{{ a|length }}")
    of = replace(plain, content=replace(plain.content, engine=Engine.JINJA))
    return compile_batch(of, settings()).fill(delivery(fields=values, policy=policy), NOW).body


def is_static(html: str) -> bool:
    return JinjaBody(JinjaTemplate(html=html, text="", subject=""), build_skeleton("x", ()))._pieces is not None


def words(body: bytes) -> list[str]:
    """Of the text part, without the targets of links."""
    return [word for word in re.sub(r"\s*\([^)]*\)", "", texts(body)[0]).split() if word != "-"]


@examples(100)
@given(html=TEMPLATES, values=VALUES, policy=POLICIES)
def test_pieces_make_the_same_mail_as_parsing_it(html: str, values: dict[str, str], policy: TrackingPolicy) -> None:
    whole = values | REST
    with pytest.MonkeyPatch.context() as patch:
        found = mail(html, whole, policy)
        patch.setattr(jinja_body, "_compile", lambda _: None)
        expected = mail(html, whole, policy)
    assert_fit_for_smtp(found)
    assert unescape(texts(found)[1]).rstrip() == unescape(texts(expected)[1]).rstrip()
    # As in a plain template, a value that is HTML begins on the line of the word before it, and whether a link's target
    # or a bullet is shown does not depend on the value behind it.
    between = "" if "safe" in html else " "
    assert between.join(words(found)) == between.join(words(expected))


@examples(50)
@given(html=TEMPLATES, values=VALUES)
def test_the_body_hash_is_of_the_canonical_body(html: str, values: dict[str, str]) -> None:
    template = JinjaTemplate(html=html, text="", subject="")
    body = JinjaBody(template, build_skeleton("x", ()))
    of = delivery(fields=values, policy=IDENTIFIED)
    urls = TrackingUrls(compile_batch(batch(html), settings()).template._tracking, of, NOW)
    wire, digest = body.fill(body.render(template.readable(values | REST)), RenderContext({}, urls))
    assert hashlib.sha256(relax_body(b"".join(wire))).digest() == digest
    assert max(map(len, b"".join(wire).split(b"\r\n"))) <= 76


@pytest.mark.parametrize(
    "html",
    [
        "<table>{% for i in l %}<tr><td>{{ i }}</td></tr>{% endfor %}</table>",
        "{% if a %}<p>{{ a }}</p>{% else %}<p>b</p>{% endif %}",
        "{% for i in l %}<a href='https://x.example/{{ i }}'>{{ i }}</a>{% endfor %}",
        "<p class='{% if a %}b{% endif %}'>c</p><style>{% if a %}b{% endif %}</style><!--{% if a %}{% endif %}-->",
        "{% set a = b %}<ul>{% for i in l %}<li>{{ i }}</li>{% endfor %}</ul></body>",
    ],
)
def test_usual_templates_are_static(html: str) -> None:
    assert is_static(html)


@pytest.mark.parametrize(
    "html",
    [
        "<p {% if a %}class='b'{% endif %}>",
        "<p class={% if a %}b{% endif %}>",
        "<a href='https://x.example/{% if a %}b{% endif %}'>",
        "{% if a %}<p class='{% else %}<p class='{% endif %}b'>",
        "<style>{% if a %}</style><style>{% endif %}</style>",
        "<{% if a %}b{% endif %}>",
        "{% if a %}</body>{% endif %}",
        "{% if a %}<a href='https://x.example/1'>{% else %}<a href='https://x.example/2'>{% endif %}b</a>",
        "<ol>{% for i in l %}<li>{{ i }}</li>{% endfor %}</ol>",
        "{% set a = b|safe %}{{ a }}",
        "<b title='{% set a = b %}'>{{ a }}",
        "{% if a %}<!--{% endif %}-->",
    ],
)
def test_what_depends_on_the_values_is_parsed_in_each_mail(html: str) -> None:
    assert not is_static(html)


def test_a_receipt() -> None:
    html = """<html><body>
      <h1>Order {{ id }}</h1>
      <table>
      {% for line in lines %}
        <tr><td>{{ line.name }}</td> <td>{{ line.price|money("EUR") }}</td>
            <td><a href="https://x.example/p/{{ line.id }}">{{ line.name }} again</a></td></tr>
      {% endfor %}
      </table>
      {% if note is defined %}<p>Note: {{ note }}</p>{% endif %}
      <p>Bye</p></body></html>"""
    lines = [{"name": "Tea & cup", "price": 3.5, "id": "a/b"}, {"name": "Pot", "price": 12, "id": 7}]
    found = mail(html, {"a": "1", "id": 5, "lines": lines}, IDENTIFIED)
    assert is_static(html)
    assert verifies(found)
    assert texts(found)[0] == (
        "Order 5\n\n"
        "Tea & cup 3.50 EUR Tea & cup again (https://x.example/p/a/b)\n"
        "Pot 12.00 EUR Pot again (https://x.example/p/7)\n\n"
        "Bye"
    )
    assert texts(found)[1].count('href="https://stats.') == 2


def test_links_are_found_in_the_flat_text() -> None:
    source = JinjaTemplate(html="<a href='{{ a }}'>{% if b %}{% endif %}", text="", subject="").html_source()
    assert [type(piece).__name__ for piece in find_pieces(source.flat())] == [
        "str", "Link", "str", "Placeholder", "Placeholder", "Pixel",
    ]  # fmt: skip
