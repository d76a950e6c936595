"""Plain mails stay byte for byte what they are: one digest of many, older than the engine jinja."""

import hashlib
import itertools
from dataclasses import replace

from tests.support.mail import batch, build, delivery

VALUES = [
    "a",
    "",
    "<a&'\"b c",
    "Zoë Müller",
    "x" * 200,
    " lead",
    "trail ",
    "x\r\ny",
    "=",
    "a  b",
    "\x01",
    "é" * 30,
    ".é",
]
HTML = [
    "<p>Hello {{ a }}</p>",
    "{{a}}{{ b }} = {{{ a }}} é {{ unknown }}\n  two  spaces \n",
    '<a href="https://x.example/{{ a }}?q={{ b }}&amp;c=1">{{ b }}</a> <a href="{{ a }}">x</a></body>',
    "<ul><li>{{ a }}<li>{{ b }}</ul><table><tr><td title='{{ a }}'>{{ b }}</table>" + "long line " * 30,
    "<!-- {{ a }} --><style>{{ b }}</style>{% if a %}{{ b }}{% endif %}\t{{ a }}",
]
DIGEST = "f6adf494c94a911f9c601c84cd9b77d3e5b84adec32deb3e9ecc1ff9dec19d8b"


def test_plain_mails_are_what_they_were() -> None:
    digest = hashlib.sha256()
    for html, a, b in itertools.product(HTML, VALUES, VALUES):
        for text in ("", "Text {{ a }} {{ b }}\n"):
            of = batch(html, subject="S {{ a }}")
            of = replace(of, content=replace(of.content, text=text))
            mail = build(of, delivery(fields={"a": a, "b": b})).body
            digest.update(mail[mail.index(b"\r\nDate:") :])  # without the signature, whose key is another in each run
    assert digest.hexdigest() == DIGEST
