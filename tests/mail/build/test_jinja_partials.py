"""Partials and layouts of jinja templates, replaced before the template is compiled."""

import pytest

from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.build.jinja_partials import MAX_EXPANDED, expand, partials_in, uses_partials
from kannon.mail.build.jinja_syntax import TemplateFault

PARTIALS = {
    "footer": "{% set a = 2 %}<p>{{ a }} {{ name }}</p>",
    "layout": "<body>{% block content %}empty{% endblock %}|"
    "{% block end %}end{% endblock %}{% include 'footer' %}</body>",
    "inner": "{% extends 'layout' %}{% block content %}<i>{% block text %}none{% endblock %}</i>{% endblock %}",
    "loop": "{% include 'loop' %}",
    "broken": "x\n{{ a|nope }}",
    "large": "x" * (MAX_EXPANDED // 3),
}


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("{{ a }}{% include 'footer' %}{{ a }}", "1<p>2 N</p>1"),
        ('{%- include "footer" -%}', "<p>2 N</p>"),
        ("{% extends 'layout' %}ignored{% block content %}{{ a }}{% endblock %}", "<body>1|end<p>2 N</p></body>"),
        ("{# c #} {% extends 'layout' %}", "<body>empty|end<p>2 N</p></body>"),
        ("{% extends 'inner' %}{% block text %}T{% endblock %}", "<body><i>T</i>|end<p>2 N</p></body>"),
        ("{% extends 'inner' %}{% block content %}T{% endblock %}", "<body>T|end<p>2 N</p></body>"),
        ("{% block b %}{% if a %}x{% endif %}{% endblock %}", "x"),
        ("{% raw %}{% include 'absent' %}{% endraw %}", "{% include 'absent' %}"),
        ("{# {% include 'absent' %} #}x", "x"),
        ("{% for i in [1, 2] %}{% include 'footer' %}{% endfor %}", "<p>2 N</p><p>2 N</p>"),
    ],
)
def test_partials_and_layouts(source: str, rendered: str) -> None:
    template = JinjaTemplate(html=expand(source, PARTIALS), text="", subject="")
    assert template.render({"a": 1, "name": "N"}).html == rendered


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x\n {% include 'absent' %}", r'no jinja template with the title "absent" \(line 2, column 2\)'),
        ("{% include 'loop' %}", r"more than 5 partials within each other"),
        (
            "{% include 'broken' %}",
            r'"broken": there is no filter "nope" \(line 2, column 6 of it\)',
        ),
        ("{% include name %}", r"include needs the title of a template"),
        ("{% include 'a' ignore missing %}", r"include needs the title"),
        ("{% block %}{% endblock %}", r"block needs a name"),
        ("{% block a %}", r"endblock is missing"),
        ("{{ a }}{% extends 'layout' %}", r"extends must be the first statement"),
        ("{% include 'large' %}" * 4, r"characters with its partials"),
    ],
)
def test_a_fault_has_its_place(source: str, problem: str) -> None:
    with pytest.raises(TemplateFault, match=problem):
        expand(source, PARTIALS)


def test_a_partial_is_refused_where_it_was_not_replaced() -> None:
    with pytest.raises(TemplateFault, match='"include" is not a statement'):
        JinjaTemplate(html="{% include 'footer' %}", text="", subject="")


def test_titles_are_found() -> None:
    assert partials_in("{% extends 'a' %}{% include \"b c\" %}{# {% include 'd' %} #}") == {"a", "b c"}
    assert uses_partials("{%- include 'a' %}")
    assert not uses_partials("{% if a %}{% endif %}")
