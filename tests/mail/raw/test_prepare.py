"""A raw message is checked and completed; everything else of it stays byte for byte."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.errors import InvalidArgument, PermissionDenied
from kannon.mail.raw import RawMessage, prepare_raw
from tests.support.effort import examples

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WHOLE = b"Date: Wed, 01 Jul 2026 09:00:00 +0200\r\nFrom: A <a@example.com>\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n"


def prepare(message: bytes, *, smtputf8: bool = False, remove: frozenset[str] = frozenset()) -> RawMessage:
    return prepare_raw(message, "example.com", NOW, "new@example.com", smtputf8=smtputf8, remove=remove)


def test_a_complete_message_stays_as_it_is() -> None:
    assert prepare(WHOLE).content == WHOLE
    assert prepare(WHOLE[:-2]).content == WHOLE


def test_date_and_message_id_are_added_bcc_and_return_path_removed() -> None:
    message = (
        b"Return-Path: <x@y>\r\nFrom: a@example.com\r\nbcc: secret@example.org,\r\n\tother@example.org\r\n"
        b"X-Steer: on\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n a\r\n\r\n\r\n.\r\n"
    )
    prepared = prepare(message, remove=frozenset({"x-steer"}))
    assert prepared.content == (
        b"Date: Wed, 01 Jul 2026 12:00:00 +0000\r\nMessage-ID: <new@example.com>\r\nFrom: a@example.com\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n a\r\n\r\n\r\n.\r\n"
    )
    assert (str(prepared.sender), prepared.subject) == ("a@example.com", "Grüße a")


@pytest.mark.parametrize(
    ("sender", "address"),
    [
        ("a@example.com", "a@example.com"),
        ("root@example.com (Cron Daemon)", "root@example.com"),
        ("(a (nested \\) one)) a@EXAMPLE.com", "a@example.com"),
        ('"Doe, \\"J\\" <x@evil.example>" <j@example.com>', "j@example.com"),
        ("=?utf-8?b?w7w=?= J. Doe <j@example.com>", "j@example.com"),
        ("Long\r\n <j@example.com>", "j@example.com"),
        ('"a b"@example.com', '"a b"@example.com'),
    ],
)
def test_the_address_in_from_is_found(sender: str, address: str) -> None:
    assert str(prepare(f"From: {sender}\r\n\r\n".encode()).sender) == address


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "is empty"),
        (b"\r\n", "has no From field"),
        (b"Subject: x\r\n\r\nHi\r\n", "has no From field"),
        (b"From: a@example.com\r\nfrom: b@example.com\r\n\r\n", "has 2 From fields"),
        (b"From: a@example.com, b@example.com\r\n\r\n", "not one address"),
        (b"From: b@evil.example, <a@example.com>\r\n\r\n", "not one address"),
        (b"From: b@evil.example <a@example.com>\r\n\r\n", "not one address"),
        (b"From: <a@example.com> <b@evil.example>\r\n\r\n", "not one address"),
        (b"From: x: a@example.com;\r\n\r\n", "not one address"),
        (b"From: (a@example.com\r\n\r\n", "not one address"),
        (b"From: \r\n\r\n", "not one address"),
        (b"From: a@example.com\r\nSubject: 1\r\nSUBJECT: 2\r\n\r\n", "has 2 Subject fields"),
        (b"From: a@example.com\r\n \r\nX: y\r\n\r\n", "has no header field in line 2"),
        (b" folded\r\nFrom: a@example.com\r\n\r\n", "has no header field in line 1"),
        (b"From a@b Mon Jul 1 12:00:00\r\nFrom: a@example.com\r\n\r\n", "has no header field in line 1"),
        (b"From : a@example.com\r\n\r\n", "has no header field in line 1"),
        (b"From: a@example.com\r\n\r\na\nb\r\n", "bare LF"),
        (b"From: a@example.com\r\n\r\na\rb\r\n", "bare CR"),
        (b"From: a@example.com\n\nb\n", "bare LF"),
        (b"From: a@example.com\r\n\r\na\r\r\n", "bare CR"),
        (b"From: a@example.com\r\n\r\na\0\r\n", "NUL"),
        (b"From: a@example.com\r\n\r\n" + b"x" * 999 + b"\r\n", "more than 998 octets in line 3"),
        ("From: ä@example.com\r\n\r\n".encode(), "needs SMTPUTF8"),
        (b"From: a@example.com\r\n" + b"X: y\r\n" * 1001 + b"\r\n", "has 1002 header fields"),
        (b"From: a@example.com\r\n" + (b"X: " + b"y" * 900 + b"\r\n") * 300 + b"\r\n", "has a header of"),
        (b"Received: by x\r\n" * 101 + b"From: a@example.com\r\n\r\n", "it is in a loop"),
    ],
)
def test_what_is_wrong_is_said(message: bytes, said: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^message: ") as error:
        prepare(message)
    assert said in str(error.value)


def test_a_header_in_utf_8_needs_permission() -> None:
    assert str(prepare("From: ä@example.com\r\n\r\n".encode(), smtputf8=True).sender) == "ä@example.com"
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        prepare(b"From: \xe4@example.com\r\n\r\n", smtputf8=True)


def test_another_domain_is_refused() -> None:
    with pytest.raises(PermissionDenied, match=r"sender domain .evil\.example. is not authorized"):
        prepare(b"From: a@evil.example\r\n\r\n")
    with pytest.raises(PermissionDenied):
        prepare(b'From: "a@example.com" <a@evil.example>\r\n\r\n')


FRAGMENTS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"From: ",
        b"a@example.com",
        b"Bcc: x@y.z",
        b":",
        b" ",
        b"\t",
        b".",
        b"\xff",
        b"x" * 999,
    ]
)


@given(st.lists(st.one_of(FRAGMENTS, st.binary(max_size=20)), max_size=30).map(b"".join))
@examples(300)
def test_whatever_is_accepted_has_one_reading(message: bytes) -> None:
    try:
        content = prepare(message).content
    except (InvalidArgument, PermissionDenied):
        return
    assert content.endswith(b"\r\n")
    assert content.replace(b"\r\n", b"").translate(None, b"\r\n\0") == content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    header = content.partition(b"\r\n\r\n")[0].lower()
    assert (b"\r\n" + header).count(b"\r\nfrom:") == 1
    assert b"\r\nbcc:" not in b"\r\n" + header
    assert prepare(content).content == content
