"""Domains and addresses: canonical forms; hostile ones are refused with a printable reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.address import (
    Address,
    canonical_domain,
    check_recipient,
    parse_address,
    parse_mailbox,
    sender_authorized,
)

LONG_LABEL = "x" * 63


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("example.com", "example.com"),
        ("  Example.COM\n", "example.com"),
        ("a_b.x-y.example", "a_b.x-y.example"),
        ("müller.de", "xn--mller-kva.de"),
        ("MÜLLER.de", "xn--mller-kva.de"),
        ("faß.de", "xn--fa-hia.de"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("xn--mller-kva.de", "xn--mller-kva.de"),
        (f"{LONG_LABEL}.example", f"{LONG_LABEL}.example"),
    ],
)
def test_domains_have_one_spelling(written: str, canonical: str) -> None:
    assert canonical_domain(written) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "localhost",
        ".",
        "example.com.",
        ".example.com",
        "a..b",
        f"{LONG_LABEL}x.example",
        ".".join(["abcdefg"] * 32),
        "ex ample.com",
        "ex/ample.com",
        "example.com\r\nX: y.z",
        "exam\0ple.com",
        "[127.0.0.1]",
        "a@b.example",
        "😀.\u200bexample",
        "xn--\u00fc.example",
        "x" * 5000 + ".example",
        "ü" * 5000 + ".example",
    ],
)
def test_invalid_domains(written: str) -> None:
    with pytest.raises(ValueError, match="domain name"):
        canonical_domain(written)


@pytest.mark.parametrize(
    ("written", "local", "domain"),
    [
        ("anna@example.com", "anna", "example.com"),
        ("Anna.B+tag@EXAMPLE.com", "Anna.B+tag", "example.com"),
        ("o'neil/x=y@example.com", "o'neil/x=y", "example.com"),
        ("a@müller.de", "a", "xn--mller-kva.de"),
        ("jürgen@example.com", "jürgen", "example.com"),
        ('"a b"@example.com', '"a b"', "example.com"),
        ('"a@b"@example.com', '"a@b"', "example.com"),
        ("x" * 64 + "@example.com", "x" * 64, "example.com"),
        ("a@mail_1.example.test", "a", "mail_1.example.test"),
        ("a@destination.test", "a", "destination.test"),
    ],
)
def test_addresses(written: str, local: str, domain: str) -> None:
    assert parse_address(written) == Address(local, domain)
    assert check_recipient(written) is None
    assert check_recipient(f" {written}") is not None  # trimming is the intake's


@pytest.mark.parametrize(
    "written",
    [
        "",
        "anna",
        "@example.com",
        "anna@",
        "anna@localhost",
        "anna@127.0.0.1",
        "anna@[127.0.0.1]",
        "anna@example..com",
        "anna@example.com.",
        "anna@-example.com",
        "anna@example-.com",
        "anna @example.com",
        "anna@ example.com",
        "an na@example.com",
        "anna..b@example.com",
        ".anna@example.com",
        "anna.@example.com",
        "a@b@example.com",
        "<anna@example.com>",
        "Anna <anna@example.com>",
        "anna@example.com, b@example.com",
        "anna@example.com>",
        "anna@example.com\r\nRCPT TO:<b@example.com>",
        "anna\r\n@example.com",
        "anna\0@example.com",
        '"a\nb"@example.com',
        "\u2028a@example.com",
        "a\ud800@example.com",
        "x" * 65 + "@example.com",
        "ü" * 33 + "@example.com",
        "x" * 60 + "@" + ".".join(["y" * 60] * 4),
        "a@" + "x" * 10000,
        "x" * 100000,
    ],
)
def test_invalid_addresses(written: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_address(written)
    reason = check_recipient(written)
    assert reason is not None
    for text in (str(caught.value), reason):
        assert text.isprintable()
        assert len(text) < 150


@given(st.text(max_size=40))
def test_accepted_addresses_are_safe_in_a_command_and_a_header(written: str) -> None:
    try:
        address = parse_address(written)
    except ValueError:
        return
    text = str(address)
    assert text.isprintable()
    assert len(text.encode()) <= 254
    assert parse_address(text) == address
    if "<" in text or ">" in text or " " in text:
        assert text.startswith('"')


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        ("anna@example.com", "", "anna@example.com"),
        ("<anna@example.com>", "", "anna@example.com"),
        ("Anna <anna@example.com>", "Anna", "anna@example.com"),
        (' "Doe, \\"J\\"" <j@example.com> ', 'Doe, "J"', "j@example.com"),
        ("Doe, John <j@example.com>", "Doe, John", "j@example.com"),
        ("Jürgen 😀<j@example.com>", "Jürgen 😀", "j@example.com"),
    ],
)
def test_mailboxes(written: str, name: str, address: str) -> None:
    found_name, found = parse_mailbox(written)
    assert (found_name, str(found)) == (name, address)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "Anna",
        "Anna <>",
        "Anna <anna>",
        "a <b@c.example> <d@e.example>",
        "a@b.example, c@d.example",
        "a\r\n<b@c.example>",
        'x" <b@c.example>',
        "<<a@b.example>>",
    ],
)
def test_invalid_mailboxes(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_mailbox(written)


@pytest.mark.parametrize(
    ("sender", "tenant", "allowed"),
    [
        ("example.com", "example.com", True),
        ("EXAMPLE.com", "example.com", True),
        ("example.com", "news.example.com", True),
        ("example.com", "a.b.example.com", True),
        ("example.co.uk", "news.example.co.uk", True),
        ("müller.de", "news.xn--mller-kva.de", True),
        ("news.example.com", "example.com", False),
        ("co.uk", "example.co.uk", False),
        ("com", "example.com", False),
        ("github.io", "me.github.io", False),
        ("ample.com", "example.com", False),
        ("other.com", "example.com", False),
        ("", "example.com", False),
    ],
)
def test_sender_domains_of_a_tenant(sender: str, tenant: str, allowed: bool) -> None:
    assert sender_authorized(sender, tenant) is allowed
