"""Parsing of replies, and the retry time in their text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.reply import MAX_TEXT, parse_reply, retry_after
from kannon.mail.verdict import Reply


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"250 ok"], Reply(250, "ok")),
        ([b"250"], Reply(250, "")),
        ([b"550 5.1.1 no such user"], Reply(550, "no such user", "5.1.1")),
        ([b"550-5.7.1 first", b"550 5.7.1 second"], Reply(550, "first second", "5.7.1")),
        ([b"550 5.1.1"], Reply(550, "", "5.1.1")),
        ([b"550 5.1.1.1 odd"], Reply(550, "5.1.1.1 odd")),
        ([b"550 #5.1.0 Address rejected"], Reply(550, "#5.1.0 Address rejected")),
        ([b"550 caf\xc3\xa9 \xff"], Reply(550, "café �")),
        ([b"550 a\x1b[31mred\x00"], Reply(550, "a [31mred")),
    ],
)
def test_parse_reply(lines: list[bytes], expected: Reply) -> None:
    assert parse_reply(int(lines[0][:3]), lines) == expected


def test_long_texts_are_cut() -> None:
    assert len(parse_reply(550, [b"550-" + b"x" * 600] * 5).text) == MAX_TEXT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 5 minutes", 300),
        ("Greylisting in action, please come back in 00:04:54", 294),
        ("temporarily deferred, retry after 300 seconds", 300),
        ("Recipient address rejected: Greylisted for 5 minutes (see http://postgrey/x)", 300),
        ("try again in 1 hour", 3600),
        ("Try Again In 30 Sec.", 30),
        ("please wait 10 mins", 600),
        ("resend in 900s", 900),
        ("try again in 999999 hours", 24 * 3600),
        ("try again later", None),
        ("too many messages, limit is 100 in 60 minutes", None),
        ("mailbox full", None),
        ("retry timeout in 4.7.1", None),
    ],
)
def test_retry_after(text: str, seconds: int | None) -> None:
    assert retry_after(Reply(451, text)) == seconds


def test_only_temporary_replies_ask_for_a_retry() -> None:
    assert retry_after(Reply(550, "try again in 5 minutes")) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    retry_after(Reply(451, text))


@pytest.mark.parametrize("piece", ["in 1", "again in ", "in 00:00:", "grey", "1" * 50 + " "])
def test_hostile_texts_cost_nothing(piece: str) -> None:
    began = time.process_time()
    for _ in range(20):
        retry_after(Reply(451, (piece * MAX_TEXT)[:MAX_TEXT]))
    assert time.process_time() - began < 0.2
