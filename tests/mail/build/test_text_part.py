"""The text part of a mail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.build.text import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("Hello", "Hello"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div>Two</div>", "One\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("One<br><br>Two<br><br><br><br><br>Three", "One\n\nTwo\n\n\nThree"),
        ("  lots\n\n of \t space&nbsp; here ", "lots of space here"),
        ("<b>bold</b><i>italic</i> <u>under</u>", "bolditalic under"),
        ("a &lt;b&gt; &amp; &copy; &#8364; &euro;", "a <b> & © € €"),
        ("&#" + "9" * 5000 + ";x", "&#" + "9" * 5000 + ";x"),
        ("<h1>Title</h1>text", "Title\n\ntext"),
        ("<title>no</title><style>p{}</style><script>x</script>yes<!-- no -->", "yes"),
        ("<!doctype html><!--[if mso]>no<![endif]-->yes", "yes"),
        ('<a href="https://x.example/?a&amp;b">here</a>.', "here (https://x.example/?a&b)."),
        ('<a href="https://x.example">https://x.example</a>', "https://x.example"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
        ('<a href="mailto:a@b.example">write</a>', "write (a@b.example)"),
        ('<a href="tel:+49">+49</a>', "+49"),
        ('<a href="#top">top</a> <a>x</a> <a href="javascript:x">y</a>', "top x y"),
        (
            '<a href="https://x.example"><img src="l.png" alt="Our &quot;logo&quot;"></a>',
            'Our "logo" (https://x.example)',
        ),
        ('<a href="https://x.example"><img src="spacer.gif"></a>', ""),
        ("<ul><li>a<li>b</ul>c", "- a\n- b\n\nc"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
        ("<ul><li>a<ol><li>b<li>c</ol></li><li>d</ul>", "- a\n  1. b\n  2. c\n- d"),
        ("<ul><li><p>a</p><p>b</p></ul>", "- a\n\n  b"),
        ("<table><tr><td>a<td>b<tr><td>c</td><td>d</td></table>", "a b\nc d"),
        ("a<hr>b", "a\n\n" + "-" * 20 + "\n\nb"),
        ("<pre>  two\n   three</pre>end", "  two\n   three\n\nend"),
        ("<div>\u200b\u200c&zwnj;&nbsp;&zwnj;</div>hello", "hello"),
        ("👨\u200d👩\u200d👧 family", "👨\u200d👩\u200d👧 family"),
        ("a < b and c > d", "a < b and c > d"),
        ("<p>unclosed <b>tags", "unclosed tags"),
        ("</p></ul></a></pre>odd ends", "odd ends"),
        ("<p class='a>b'>quoted</p>", "quoted"),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


@given(st.text(alphabet="<>/abprelihuo td=\"'&;!-\n\xa0ü", max_size=200))
def test_any_text_becomes_tidy_text(html: str) -> None:
    text = html_to_text(html)
    assert text == text.strip("\n")
    assert "\n\n\n\n" not in text


@given(st.text(st.characters(codec="utf-8", exclude_characters="<&\0", exclude_categories=["Cs"]), max_size=100))
def test_plain_words_stay(words: str) -> None:
    visible = [word for word in words.split() if word.strip("\u200b\u200c\u200d\u2060\ufeff\u034f\u00ad")]
    assert html_to_text(words) == " ".join(visible)
