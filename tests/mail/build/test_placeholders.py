"""Placeholders: their syntax, their values, and that nothing else changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.build.placeholders import (
    Placeholder,
    check_unsubscribe_url,
    fields_for,
    fill_plain,
    fill_url,
    placeholders_in,
    split_placeholders,
    unsubscribe_url_resolves,
)
from tests.support.mail import batch, build, delivery, html_of, parse, settings, texts

FIELDS = {"name": "Anna", "a.b": "dot", "(x)+": "regex", "$": "dollar", "price": "$1,250", "two": "{{name}}"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("Hi {{name}}", "Hi Anna"),
        ("Hi {{ name }}", "Hi Anna"),
        ("Hi {{ \t name\t }}", "Hi Anna"),
        ("{{name}}{{name}}", "AnnaAnna"),
        ("{{ a.b }} {{ (x)+ }} {{ $ }}", "dot regex dollar"),
        ("{{price}}", "$1,250"),
        ("{{two}}", "{{name}}"),  # one pass
        ("{{ unknown }}", "{{ unknown }}"),
        ("{{Name}}", "{{Name}}"),
        ("{{ na me }}", "{{ na me }}"),
        ("{{\nname\n}}", "{{\nname\n}}"),
        ("{{}} {{ }} {", "{{}} {{ }} {"),
        ("}} {{ {{ name }}", "}} {{ Anna"),
        ("{{ name", "{{ name"),
        ("name }}", "name }}"),
        ("{name}", "{name}"),
        ("{{{name}}}", "Anna"),
        ("{{{ name }}", "{Anna"),
        ("{{ name }}}", "Anna}"),
        ("{{{{ name }}}}", "{Anna}"),
        ("{{{{{ name }}}}}", "{{Anna}}"),
        ("{{name}}}}{{name}}", "Anna}}Anna"),
    ],
)
def test_a_template_is_filled(template: str, filled: str) -> None:
    assert fill_plain(split_placeholders(template), FIELDS) == filled


@given(st.text(alphabet="{} \tnameü\n", max_size=60))
def test_segments_joined_are_the_template(template: str) -> None:
    segments = split_placeholders(template)
    assert "".join(s.source if isinstance(s, Placeholder) else s for s in segments) == template
    assert all(a != "" for a in segments)


@given(st.lists(st.one_of(st.text(alphabet="ab {}", max_size=5), st.just("{{name}}")), max_size=8))
def test_placeholders_in_values_are_not_replaced(parts: list[str]) -> None:
    template = "".join(parts)
    filled = fill_plain(split_placeholders(template), {"name": "{{name}}"})
    assert filled == template or "{{" in filled  # filling with itself changes at most the white space and braces
    assert fill_plain(split_placeholders("{{name}}"), {"name": template}) == template


def test_the_keys_of_a_template() -> None:
    assert placeholders_in("{{ a }} {{{b}}} {{a}} {{ c d }}") == {"a", "b", "c d"}


def test_fields_come_from_the_address_the_batch_and_the_recipient() -> None:
    assert fields_for("a@b.example", {"x": "batch", "y": "batch"}, {"x": "own"}) == {
        "email": "a@b.example",
        "x": "own",
        "y": "batch",
    }
    assert fields_for("a@b.example", {"email": "shown"}, {})["email"] == "shown"


def test_html_escapes_subject_and_text_do_not() -> None:
    value = '<b>Tom & "Jerry\'s"</b>'
    body = build(batch("<p>{{v}}</p>", subject="{{v}}"), delivery(fields={"v": value})).body
    text, html = texts(body)
    assert html == "<p>&lt;b&gt;Tom &amp; &quot;Jerry&#x27;s&quot;&lt;/b&gt;</p>"
    assert text == value
    assert parse(body)["subject"] == value


def test_three_braces_insert_html_and_its_text() -> None:
    body = build(batch("<div>{{{v}}}</div>"), delivery(fields={"v": "<i>Tom</i> &amp; <br>Jerry"})).body
    assert texts(body) == ("Tom &\nJerry", "<div><i>Tom</i> &amp; <br>Jerry</div>")


def test_without_autoescape_two_braces_do_too() -> None:
    body = build(batch("{{v}}"), delivery(fields={"v": "<i>Tom</i>"}), settings(autoescape=False)).body
    assert texts(body) == ("Tom", "<i>Tom</i>")


def test_the_price_arrives_as_it_is() -> None:
    assert html_of("<b>{{price}}</b>", {"price": "$1,250"}) == "<b>$1,250</b>"


def test_unknown_placeholders_stay_in_all_parts() -> None:
    body = build(batch("<p>{{ nobody }}</p>", subject="{{ nobody }}")).body
    assert texts(body) == ("{{ nobody }}", "<p>{{ nobody }}</p>")
    assert parse(body)["subject"] == "{{ nobody }}"


def test_email_is_always_there() -> None:
    assert html_of("{{ email }}") == "anna@reader.example"
    assert html_of("{{ email }}", {"email": "own"}) == "own"


def test_placeholders_survive_in_the_text_part_wherever_they_stand() -> None:
    html = '<ul><li>{{ first_name }}<li><a href="https://x.example/{{ id }}?a=*">{{*_x_*}}</a></ul>'
    fields = {"first_name": "Zoë_1", "id": "7", "*_x_*": "star"}
    assert texts(build(batch(html), delivery(fields=fields)).body)[0] == "- Zoë_1\n- star (https://x.example/7?a=*)"


def test_values_in_urls_are_percent_encoded() -> None:
    segments = split_placeholders("https://x.example/u?e={{email}}&n={{{ n }}}")
    assert fill_url(segments, {"email": "a+b@c.d", "n": "ü&/\r\n"}) == (
        "https://x.example/u?e=a%2Bb%40c.d&n=%C3%BC%26%2F%0D%0A"
    )
    assert fill_url(segments, {"email": "x"}) is None


def test_invalid_characters_of_a_url_template_are_encoded_too() -> None:
    assert fill_url(split_placeholders("https://x.example/ü b?%20<>"), {}) == "https://x.example/%C3%BC%20b?%20%3C%3E"


@pytest.mark.parametrize(
    "template",
    [
        "https://x.example/u",
        "https://x.example/{{ id }}",
        "HTTPS://x.example?e={{email}}",
        "https://x.example",
    ],
)
def test_good_unsubscribe_urls(template: str) -> None:
    assert check_unsubscribe_url(template) is None


@pytest.mark.parametrize(
    "template",
    [
        "",
        "http://x.example/",
        "mailto:a@b.c",
        "https://",
        "https:///x",
        "x",
        "{{url}}",
        "https://{{host}}/",
        "https://[x/",
    ],
)
def test_bad_unsubscribe_urls(template: str) -> None:
    assert check_unsubscribe_url(template) is not None


def test_which_recipients_can_unsubscribe() -> None:
    template = "https://x.example/{{ id }}"
    assert unsubscribe_url_resolves(template, {"id": "1"})
    assert unsubscribe_url_resolves(template, {"id": ""})
    assert not unsubscribe_url_resolves(template, {})
    assert not unsubscribe_url_resolves(template, {"id": "x" * 3000})
