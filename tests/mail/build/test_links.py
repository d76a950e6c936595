"""Links: which are tracked, their targets, the encoding of values; everything else stays byte for byte."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.build.html import decode_attribute
from kannon.mail.token import parse_token
from kannon.mail.token_claims import Channel, Claims
from kannon.mail.tracking import TrackingMode, TrackingPolicy
from tests.support.effort import examples
from tests.support.mail import DOMAIN, NOW, batch, build, delivery, html_of, texts, token_verifier
from tests.support.mail import settings as build_settings

LINKS = TrackingPolicy(TrackingMode.OFF, TrackingMode.IDENTIFIED)
OPENS = TrackingPolicy(TrackingMode.IDENTIFIED, TrackingMode.OFF)
URL = re.compile(rf"https://stats\.{re.escape(DOMAIN)}/([co])/([A-Za-z0-9_.-]+)")


def read(url: str) -> Claims:
    match = URL.fullmatch(url)
    assert match is not None, url
    sealed = parse_token(match[2])
    assert sealed is not None
    claims = token_verifier().verify(sealed, Channel(match[1]), NOW)
    assert claims is not None
    return claims


def targets(html: str) -> list[str]:
    return [read(match[0]).url for match in URL.finditer(html) if match[1] == "c"]


def untracked(html: str) -> str:
    """The HTML with each tracking URL replaced by T."""
    return URL.sub("T", html)


@pytest.mark.parametrize(
    ("written", "sent", "target"),
    [
        ('<a href="https://x.example/">', '<a href="T">', "https://x.example/"),
        ("<a href='https://x.example/'>", "<a href='T'>", "https://x.example/"),
        ("<a href=https://x.example/>", "<a href=T>", "https://x.example/"),
        ("<a href=https://x.example >", "<a href=T >", "https://x.example"),
        ('<A HREF="HTTP://X.EXAMPLE/A">', '<A HREF="T">', "HTTP://X.EXAMPLE/A"),
        ('<a\n  class="b"\n  href="https://x.example"\n>', '<a\n  class="b"\n  href="T"\n>', "https://x.example"),
        ('<a href = "https://x.example">', '<a href = "T">', "https://x.example"),
        ('<a href\n=\n"https://x.example">', '<a href\n=\n"T">', "https://x.example"),
        ('<a/href="https://x.example"/>', '<a/href="T"/>', "https://x.example"),
        ('<a href="https://x.example/?a=1&amp;b=2">', '<a href="T">', "https://x.example/?a=1&b=2"),
        ('<a href="https://x.example/?a=1&b=2">', '<a href="T">', "https://x.example/?a=1&b=2"),
        ('<a href="https://x.example/?a=1&copy=2">', '<a href="T">', "https://x.example/?a=1&copy=2"),
        ('<a href="&#104;ttps://x.example/&quot;">', '<a href="T">', 'https://x.example/"'),
        ('<a href="https://x.example/it\'s">', '<a href="T">', "https://x.example/it's"),
        ("<a href='https://x.example/\"q\"'>", "<a href='T'>", 'https://x.example/"q"'),
        ('<a title="it\'s > that" href="https://x.example">', '<a title="it\'s > that" href="T">', "https://x.example"),
        ('<a title=\'"\' href="https://x.example">', '<a title=\'"\' href="T">', "https://x.example"),
        ('<a href="  https://x.example \n">', '<a href="T">', "https://x.example"),
        ('<a href="https://x.ex\nample/">', '<a href="T">', "https://x.example/"),
        ('<a href="https://x.example" href="#b">', '<a href="T" href="#b">', "https://x.example"),
        ('<a data-href="#" href="https://x.example">', '<a data-href="#" href="T">', "https://x.example"),
        ('<a href="https://müller.example/ü?q=ß">', '<a href="T">', "https://müller.example/ü?q=ß"),
        ('<a href="https://x.example/%20%2F#frag">', '<a href="T">', "https://x.example/%20%2F#frag"),
        ('<a href="https://x.example/{{ id }}">', '<a href="T">', "https://x.example/7&8"),
        ('<a href="{{ url }}">', '<a href="T">', "https://y.example/?a&b"),
        ("<a href={{ url }}>", "<a href=T>", "https://y.example/?a&b"),
        ('<a href="{{{ markup }}}">', '<a href="T">', "https://z.example/?a&b"),
        ('<a title="{{ a"b }}" href="https://x.example">', '<a title="q" href="T">', "https://x.example"),
    ],
)
def test_these_links_are_tracked(written: str, sent: str, target: str) -> None:
    fields = {"id": "7&8", "url": "https://y.example/?a&b", "markup": "https://z.example/?a&amp;b", 'a"b': "q"}
    html = html_of(f"<p>{written}text</a></p>", fields, LINKS)
    assert untracked(html) == f"<p>{sent}text</a></p>"
    assert targets(html) == [target]


@pytest.mark.parametrize(
    "written",
    [
        '<a href="mailto:a@b.example">',
        '<a href="MAILTO:a@b.example">',
        '<a href="tel:+49">',
        '<a href="sms:1">',
        '<a href="#top">',
        '<a href="">',
        "<a href=>",
        "<a href>",
        "<a>",
        '<a href="/relative">',
        '<a href="relative">',
        '<a href="//x.example/">',
        '<a href="javascript:alert(1)">',
        '<a href="data:text/html,https://x.example">',
        '<a href="ftp://x.example/">',
        '<a href="https://">',
        '<a href="https:///path">',
        '<a href="https:x.example">',
        '<a href="{{ nobody }}">',
        '<a href="https://x.example/{{ nobody }}">',
        '<a href="{{{ nobody }}}">',
        '<a name="https://x.example">',
        '<abbr href="https://x.example">',
        '<area href="https://x.example">',
        '<link href="https://x.example">',
        '<img src="https://x.example/p.png">',
        '<!-- <a href="https://x.example"> -->',
        '<!--[if mso]><a href="https://x.example"><![endif]-->',
        "<!--><b>-->",
        '<style>a[href="https://x.example"]{}</style>',
        "<script>var a = '<a href=\"https://x.example\">'</script>",
        '<title><a href="https://x.example"></title>',
        '<textarea><a href="https://x.example"></textarea>',
        "</a href='https://x.example'>",
        '<a href="https://x.example',
        '<a href="https://x.example" title="',
        "< a href='https://x.example'>",
        '<a href="https://x.example/' + "y" * 5000 + '">',
        '<a href="https://x.example/\x01">',
    ],
)
def test_these_are_left_alone(written: str) -> None:
    html = f"<p>{written}"
    assert html_of(html, policy=LINKS) == html


NAME = "Bob & Co=1#x/ü%20"
QUERY = "Bob%20%26%20Co%3D1%23x%2F%C3%BC%2520"
PATH = "Bob%20&%20Co=1%23x/%C3%BC%2520"


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ('<a href="https://x.example/?a={{ name }}&amp;b=1">', f"https://x.example/?a={QUERY}&b=1"),
        ("<a href='https://x.example?a={{ name }}'>", f"https://x.example?a={QUERY}"),
        ('<a href="https://x.example/#{{ name }}">', f"https://x.example/#{QUERY}"),
        ('<a href="https://x.example/{{ name }}/y">', f"https://x.example/{PATH}/y"),
        ('<a href="https://x.example/{{ name }}?a={{ name }}">', f"https://x.example/{PATH}?a={QUERY}"),
        ('<a href="https://{{ host }}/{{ name }}">', f"https://y.example:8080/{PATH}"),
        ('<a href="{{ url }}">', "https://y.example/a?b=c%20&d#e"),
        ('<a href="{{ url }}&amp;f={{ name }}">', f"https://y.example/a?b=c%20&d#e&f={QUERY}"),
        ('<a href="{{ url }}?f={{ name }}">', f"https://y.example/a?b=c%20&d#e?f={QUERY}"),
        ('<a href="{{ base }}{{ path }}?f={{ name }}">', f"https://y.example/p?q?f={QUERY}"),
        ('<a href="{{ base }}/{{ name }}">', f"https://y.example/{PATH}"),
        ('<a href="{{ scheme }}://{{ host }}/{{ name }}">', f"https://y.example:8080/{PATH}"),
        ('<a href="https://x.example/?a={{{ name }}}">', f"https://x.example/?a={NAME}"),
        ('<a href=" https://x.example/?a={{ name }}" data-no-track>', None),
        ('<area href="https://x.example/?a={{ name }}">', None),
        ('<a href="mailto:{{ email }}?subject={{ name }}">', None),
        ('<a href="tel:{{ phone }}">', None),
    ],
)
def test_values_in_the_path_or_query_of_a_link_are_percent_encoded(written: str, target: str | None) -> None:
    fields = {
        "name": NAME,
        "host": "y.example:8080",
        "url": "https://y.example/a?b=c%20&d#e",
        "base": "https://y.example",
        "path": "/p?q",
        "scheme": "https",
        "phone": "+49 (30) 1",
    }
    body = build(batch(f"{written}link</a>"), delivery(fields=fields, policy=LINKS)).body
    text, html = texts(body)
    if target is not None:
        assert targets(html) == [target]
        assert text == f"link ({target})"
    else:
        assert untracked(html) == html
    untracked_html = html_of(written, fields)
    sent = re.search("href=[\"'](.*?)[\"']", untracked_html)
    assert sent is not None
    plain = {"mailto": f"mailto:anna@reader.example?subject={QUERY}", "tel": "tel:+49 (30) 1"}
    expected = target or plain.get(sent[1].partition(":")[0], f"https://x.example/?a={QUERY}")
    assert decode_attribute(sent[1]).strip() == expected


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " \x01JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "javascript\t:alert(1)",
        "vbscript:x",
        "data:text/html,<script>",
    ],
)
@pytest.mark.parametrize(
    "written",
    [
        '<a href="{{ url }}">',
        "<a href={{ url }}>",
        "<a href='{{{ url }}}'>",
        '<a href="{{ url }}{{ nobody }}">',
        '<a href=" {{ url }}" data-no-track>',
        '<area href="{{ url }}">',
    ],
)
@pytest.mark.parametrize("policy", [LINKS, OPENS])
def test_a_field_cannot_make_a_script_of_a_link(written: str, url: str, policy: TrackingPolicy) -> None:
    html = html_of(written, {"url": url}, policy)
    assert re.match("<(?:a|area) href=[\"']?#[\"']?>", html), html


def test_a_scheme_assembled_from_pieces_is_neutralised() -> None:
    assert html_of('<a href="java{{ a }}">', {"a": "script:alert(1)"}) == '<a href="#">'
    assert html_of('<a href="{{ a }}:{{ b }}">', {"a": "javascript", "b": "x"}) == '<a href="#">'


def test_the_templates_own_scheme_stays() -> None:
    assert html_of('<a href="javascript:void(0)">') == '<a href="javascript:void(0)">'
    assert html_of('<a href="{{ url }}">', {"url": "myapp://x"}) == '<a href="myapp://x">'
    assert html_of('<a href="{{ url }}">', {"url": "javascripts/x"}) == '<a href="javascripts/x">'


def test_a_value_that_is_a_link_is_filled_and_escaped() -> None:
    html = html_of('<a href="{{ url }}">', {"url": "mailto:a&b"}, LINKS)
    assert html == '<a href="mailto:a&amp;b">'


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('<a data-no-track href="https://x.example">', '<a href="https://x.example">'),
        ('<a href="https://x.example" data-no-track>', '<a href="https://x.example">'),
        ('<a href="https://x.example" DATA-NO-TRACK="1" id=a>', '<a href="https://x.example" id=a>'),
        ("<a data-no-track\nhref=https://x.example>", "<a\nhref=https://x.example>"),
        ('<a href="#" data-no-track="">', '<a href="#">'),
    ],
)
@pytest.mark.parametrize("policy", [LINKS, TrackingPolicy(TrackingMode.OFF, TrackingMode.OFF)])
def test_marked_links_lose_their_mark_and_stay(written: str, sent: str, policy: TrackingPolicy) -> None:
    assert html_of(written, policy=policy) == sent


def test_links_are_tracked_between_conditional_comments() -> None:
    html = '<!--[if !mso]><!--><a href="https://x.example"><!--<![endif]--><![if !mso]><a href="https://y.example"><![endif]>'
    assert targets(html_of(html, policy=LINKS)) == ["https://x.example", "https://y.example"]


def test_values_inserted_as_html_bring_tracked_links() -> None:
    value = '<p><a href="https://x.example/?a&amp;b">x</a> <a data-no-track href="https://y.example">{{name}}</a></p>'
    html = html_of("<body>{{{ value }}}</body>", {"value": value, "name": "never"}, LINKS)
    assert targets(html) == ["https://x.example/?a&b"]
    assert untracked(html) == '<body><p><a href="T">x</a> <a href="https://y.example">{{name}}</a></p></body>'


def test_html_inserted_within_a_comment_or_an_attribute_is_not_parsed() -> None:
    value = '<a href="https://x.example">'
    for html in ("<!-- {{{ v }}} -->", '<b title="{{{ v }}}">', "<style>{{{ v }}}</style>"):
        assert html_of(html, {"v": value}, LINKS) == html.replace("{{{ v }}}", value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<html><body>x", "</body></html>"),
        ("<html><body>x</body><p>", "</BODY ></html>"),
        ("<p>no body</p>", ""),
        ("x", "</body><!-- </body> -->"),
        ("", ""),
    ],
)
def test_the_pixel_stands_before_the_last_body_end(before: str, after: str) -> None:
    html = html_of(before + after, policy=OPENS)
    assert untracked(html) == f'{before}<img src="T" width="1" height="1" alt="">{after}'
    match = URL.search(html)
    assert match is not None
    assert match[1] == "o"
    assert read(match[0]).email == "anna@reader.example"


def test_no_tracking_no_change() -> None:
    html = '<body><a href="https://x.example/?a&b">x</a></body>'
    assert html_of(html) == html


def test_the_base_url_can_be_set() -> None:
    by = build_settings(base_url="https://t.example/k?a=1&b")
    html = texts(build(batch('<a href="https://x.example">'), delivery(policy=LINKS), by).body)[1]
    assert html.startswith('<a href="https://t.example/k?a=1&amp;b/c/')


def test_a_url_stays_under_500_characters_for_a_target_of_100() -> None:
    target = "https://www.example.com/" + "p" * 76
    html = html_of(f'<a href="{target}">', policy=TrackingPolicy(TrackingMode.FULL, TrackingMode.FULL))
    match = URL.search(html)
    assert match is not None
    assert len(match[0]) < 500
    assert read(match[0]).url == target


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("a&amp;b&ampc&amp=d&amp", "a&b&ampc&amp=d&"),
        ("&lt;&#60;&#x3C;&#X3c&#60", "<<<<<"),
        ("&notit; &not; &unknown; & &;", "&notit; ¬ &unknown; & &;"),
        ("&#0;&#x110000;&#99999999999;", "���"),
    ],
)
def test_character_references_in_attributes(value: str, decoded: str) -> None:
    assert decode_attribute(value) == decoded


CHUNKS = st.sampled_from(
    [
        "<a href='https://x.example/?a=1&amp;b'>",
        '<A class=x HREF="https://x.example/it\'s"  >',
        "<a href=https://x.example/>",
        "<a href='mailto:a@b.c'>",
        "<!-- <a href='https://c.example'> -->",
        "<![if !mso]>",
        "<style>a{b:c}</style>",
        "</a>",
        "<p title='a>b'>",
        "text   with\ttabs\n\nand lines ",
        "ünï €😀\xa0",
        "&nbsp;&amp;&lt",
        "=3D=\n.\n",
        "x" * 120,
        "</body>",
        "{{ nobody }}",
        "<",
        "<a href=",
        "<a href='",
        '"',
        "'",
        ">",
        "\ue000\ue001",
    ]
)


@given(st.lists(CHUNKS, max_size=12).map("".join))
@examples(60)
def test_everything_outside_the_changed_attributes_is_preserved(html: str) -> None:
    plain = html_of(html)
    assert plain == html.replace("{{ nobody }}", "{{ nobody }}")
    tracked = html_of(html, policy=LINKS)
    back = URL.sub(lambda match: f"<<{read(match[0]).url}>>", tracked)
    # With every target put back in its written form, the original is restored.
    for target, written in (
        ("https://x.example/?a=1&b", "https://x.example/?a=1&amp;b"),
        ("https://x.example/it's", "https://x.example/it's"),
        ("https://x.example/", "https://x.example/"),
        ("https://c.example", "https://c.example"),
    ):
        back = back.replace(f"<<{target}>>", written)
    if "<<" not in back:
        assert back == html
