"""Whole mails: built, signed, and parsed by another library, part by part the same."""

import email
import email.header
import email.utils
import re
from email.message import EmailMessage, Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.address import parse_address
from kannon.mail.batch import Attachment
from kannon.mail.build.template import compile_batch
from kannon.mail.tracking import IDENTIFIED, OFF
from tests.support import mail
from tests.support.effort import examples
from tests.support.mail import (
    DOMAIN,
    MESSAGE_ID,
    NOW,
    assert_fit_for_smtp,
    batch,
    build,
    delivery,
    parse,
    texts,
    verifies,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))

LETTERS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"])
WORDS = st.text(alphabet=st.one_of(LETTERS, st.sampled_from(" ,\"\\<>@=?_'ß😀")), max_size=120)
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0")
PIECES = ["\n", "\r\n", "\r", " ", "\t", ".", "=", "\n.\n", "<br>", "From ", "x" * 80, "  "]
BODIES = st.lists(st.one_of(st.text(CHARACTERS, max_size=20), st.sampled_from(PIECES)), max_size=30).map("".join)
NAMES = st.text(CHARACTERS, max_size=120)
ATTACHMENTS = st.lists(
    st.builds(
        Attachment,
        filename=NAMES,
        content=st.binary(max_size=500),
        content_type=st.sampled_from(
            ["", "text/csv; charset=utf-8", "application/pdf", "message/rfc822", "x", "image/png"]
        ),
        content_id=st.sampled_from(["", "", "logo", "part1@x.example"]),
    ),
    max_size=3,
)


def header(message: Message, name: str) -> str:
    """Exactly one of it, decoded."""
    (value,) = message.get_all(name, [])
    return str(value)


def shown_name(body: bytes) -> str:
    """The sender's; read by the older of Python's parsers, for the newer one puts spaces between encoded words."""
    unfolded = re.sub(r"\r?\n", "", email.message_from_bytes(body)["from"])
    name, _ = email.utils.parseaddr(unfolded)
    return str(email.header.make_header(email.header.decode_header(name)))


def plain_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def attachments(message: EmailMessage) -> list[Message]:
    return [part for part in message.walk() if part.get_content_disposition() is not None]


@given(subject=WORDS, alias=WORDS, html=BODIES, value=BODIES, files=ATTACHMENTS)
@examples(60)
def test_a_thousand_messages_are_read_as_they_were_meant(
    subject: str, alias: str, html: str, value: str, files: list[Attachment]
) -> None:
    html = html.replace("{{", "{")
    source = f"{html}[{{{{{{ value }}}}}}]"
    envelope = build(
        batch(source, subject=subject, alias=alias, attachments=tuple(files)),
        delivery(fields={"value": value}, policy=OFF),
    )
    body = envelope.body
    assert_fit_for_smtp(body)
    assert mail.verifies(body)
    message = parse(body)
    assert header(message, "subject") == subject
    assert email.utils.parseaddr(header(message, "from"))[1] == f"sender@{DOMAIN}"
    assert shown_name(body) == alias.strip()
    sent = texts(body)[1]
    assert sent == plain_newlines(html) + "[" + plain_newlines(value) + "]"
    inline = [file for file in files if file.content_id]
    attached = [file for file in files if not file.content_id]
    parts = attachments(message)
    assert [part.get_payload(decode=True) for part in parts] == [file.content for file in inline + attached]
    assert [part["content-id"] for part in parts] == [f"<{f.content_id}>" for f in inline] + [None] * len(attached)


def test_headers_and_their_order() -> None:
    body = build(
        batch(unsubscribe="https://x.example/u?e={{email}}", cc=("c@x.example",), alias="News"),
        delivery(policy=IDENTIFIED),
    ).body
    message = parse(body)
    assert message.keys() == [
        "DKIM-Signature",
        "Date",
        "From",
        "To",
        "Cc",
        "Subject",
        "Message-ID",
        "X-Pool-Message-Id",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "MIME-Version",
        "Content-Type",
    ]
    assert message["date"].datetime == NOW
    assert message["from"] == f"News <sender@{DOMAIN}>"
    assert message["to"] == "anna@reader.example"
    assert message["x-pool-message-id"] == MESSAGE_ID
    assert message["list-unsubscribe"] == "<https://x.example/u?e=anna%40reader.example>"
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(rf"<[0-9a-f]{{32}}@{re.escape(DOMAIN)}>", message["message-id"])


def test_the_envelope() -> None:
    envelope = build(batch(), delivery("Anna@Reader.Example", attempt=3, delivery_id=99))
    assert (envelope.delivery_id, envelope.attempt, envelope.due_at) == (99, 3, NOW)
    assert (envelope.message_id, envelope.domain, envelope.rcpt_to) == (MESSAGE_ID, DOMAIN, "Anna@Reader.Example")
    assert envelope.mail_from.endswith(f"@{DOMAIN}")
    assert not envelope.body.endswith(b"\r\n.\r\n")


def test_the_message_id_is_the_same_on_a_retry_and_reveals_nothing() -> None:
    def id_of(**more: object) -> str:
        return str(parse(build(batch(), delivery(**more)).body)["message-id"])  # type: ignore[arg-type]

    assert id_of(attempt=1) == id_of(attempt=5)
    assert id_of() != id_of(secret=b"t" * 16)
    assert "anna" not in id_of()


def test_the_same_input_is_the_same_mail() -> None:
    page = batch("<a href='https://x.example'>{{ email }}</a>")
    assert build(page, delivery(policy=IDENTIFIED)) == build(page, delivery(policy=IDENTIFIED))


@pytest.mark.parametrize(
    "alias",
    [
        "Anna",
        "Müller, Anna",
        'The "best" shop',
        "a\\b",
        "Größe ß",
        "😀 Shop",
        "long name " * 9,
        'quoted, "long" ' * 5,
        "a@b.example",
        "=?utf-8?q?x?=",
        "Dr. A. (B) <C>",
        "  spaced  out ",
        "ü" * 100,
    ],
)
def test_aliases_are_quoted_or_encoded(alias: str) -> None:
    body = build(batch(alias=alias)).body
    assert shown_name(body) == alias.strip()
    (address,) = parse(body)["from"].addresses
    assert address.addr_spec == f"sender@{DOMAIN}"
    assert all(len(line) <= 78 for line in body.split(b"\r\n\r\n")[0].split(b"\r\n") if not line.startswith(b" b="))


def test_international_addresses() -> None:
    message = parse(build(batch(), delivery("a@müller.example")).body)
    assert message["to"] == "a@xn--mller-kva.example"
    body = build(batch(), delivery("jürgen@reader.example")).body
    assert "To: jürgen@reader.example\r\n".encode() in body  # RFC 6532: for servers that offer SMTPUTF8
    assert mail.verifies(body)


def test_to_and_cc_change_the_header_only() -> None:
    shown = ("Doe, John <john@x.example>", '"Ü" <u@x.example>', "plain@x.example")
    envelope = build(batch(to=shown, cc=("c@x.example",)))
    message = parse(envelope.body)
    assert envelope.rcpt_to == "anna@reader.example"
    assert [(a.display_name, a.addr_spec) for a in message["to"].addresses] == [
        ("Doe, John", "john@x.example"),
        ("Ü", "u@x.example"),
        ("", "plain@x.example"),
    ]
    assert message["cc"] == "c@x.example"
    assert b"anna@" not in envelope.body


def test_no_unsubscribe_header_without_the_other() -> None:
    for page in (batch(), batch(unsubscribe="https://x.example/{{ nobody }}")):
        message = parse(build(page).body)
        assert message["list-unsubscribe"] is None
        assert message["list-unsubscribe-post"] is None


def test_a_long_unsubscribe_url_is_folded_and_whole() -> None:
    url = "https://x.example/" + "y" * 1900
    body = build(batch(unsubscribe=url)).body
    assert_fit_for_smtp(body)
    assert mail.verifies(body)
    assert "".join(parse(body)["list-unsubscribe"].split()) == f"<{url}>"


def structure(part: Message) -> object:
    if part.is_multipart():
        return (part.get_content_subtype(), [structure(p) for p in part.get_payload() if isinstance(p, Message)])
    return part.get_content_type()


PDF = Attachment("a.pdf", b"%PDF")
LOGO = Attachment("logo.png", PNG, content_id="logo")
ALTERNATIVE = ("alternative", ["text/plain", "text/html"])
RELATED = ("alternative", ["text/plain", ("related", ["text/html", "image/png"])])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ((), ALTERNATIVE),
        ((PDF,), ("mixed", [ALTERNATIVE, "application/pdf"])),
        ((LOGO,), RELATED),
        ((PDF, LOGO, PDF), ("mixed", [RELATED, "application/pdf", "application/pdf"])),
    ],
)
def test_the_structure_fits_the_attachments(files: tuple[Attachment, ...], expected: object) -> None:
    assert structure(parse(build(batch(attachments=files)).body)) == expected


def test_attachments_keep_order_names_and_bytes() -> None:
    files = tuple(Attachment("same.txt", bytes([i]) * i) for i in range(5))
    parts = attachments(parse(build(batch(attachments=files)).body))
    assert [part.get_filename() for part in parts] == ["same.txt"] * 5
    assert [part.get_payload(decode=True) for part in parts] == [file.content for file in files]


@pytest.mark.parametrize(
    ("stated", "name", "sent"),
    [
        ("", "a.pdf", "application/pdf"),
        ("", "a.PDF", "application/pdf"),
        ("", "a.txt", "text/plain"),
        ("", "a.tar.gz", "application/gzip"),
        ("", "a", "application/octet-stream"),
        ("", "data:text/html,x", "application/octet-stream"),
        ("text/calendar; method=REQUEST; charset=utf-8", "a.ics", "text/calendar"),
        ("image/svg+xml", "a.png", "image/svg+xml"),
        ("message/rfc822", "a.eml", "application/octet-stream"),
        ("Multipart/Mixed; boundary=x", "a", "application/octet-stream"),
        ("nonsense", "a.png", "image/png"),
        ("text/html\r\nX-Evil: 1", "a.png", "image/png"),
        ('text/plain; name="x\r\nX-Evil: 1"', "a.png", "image/png"),
        ("text/plain;" + " " * 5000 + "x", "a.png", "image/png"),
    ],
)
def test_content_types(stated: str, name: str, sent: str) -> None:
    body = build(batch(attachments=(Attachment(name, b"x", stated),))).body
    (part,) = attachments(parse(body))
    assert part.get_content_type() == sent
    assert b"X-Evil" not in body


def test_a_stated_content_type_keeps_its_parameters() -> None:
    stated = "text/calendar; method=REQUEST; charset=utf-8"
    (part,) = attachments(parse(build(batch(attachments=(Attachment("a.ics", b"x", stated),))).body))
    assert part.get_param("method") == "REQUEST"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("report.pdf", "report.pdf"),
        ("Über große Dinge.pdf", "Über große Dinge.pdf"),
        ("😀.png", "😀.png"),
        ('say "hi".txt', 'say "hi".txt'),
        ("a;b=c, d.txt", "a;b=c, d.txt"),
        ("it's 100%.txt", "it's 100%.txt"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("a/../../b.txt", "b.txt"),
        ("a\r\nX-Evil: 1.txt", "aX-Evil: 1.txt"),
        ("nul\0.txt", "nul.txt"),
        ("", "attachment"),
        ("..", "attachment"),
        ("dir/", "attachment"),
        ("\u202etxt.exe", "txt.exe"),
        ("x" * 190 + ".pdf", "x" * 190 + ".pdf"),
        ("ü" * 190 + ".pdf", "ü" * 190 + ".pdf"),
        ("x" * 500 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_file_names(written: str, sent: str) -> None:
    body = build(batch(attachments=(Attachment(written, b"x"),))).body
    (part,) = attachments(parse(body))
    assert part.get_filename() == sent
    assert_fit_for_smtp(body)
    assert all(len(line) <= 78 for line in body.split(b"\r\n") if b"filename" in line)


def test_a_long_content_id_makes_no_long_line() -> None:
    assert_fit_for_smtp(build(batch(attachments=(Attachment("a", b"x", content_id="x" * 2000),))).body)


def test_content_ids_are_as_the_html_calls_them() -> None:
    files = (Attachment("a", b"x", content_id="a b<c>\r\nX-Evil: é1"),)
    (part,) = attachments(parse(build(batch(attachments=files)).body))
    assert part["content-id"] == "<abcX-Evil:1>"


def test_a_large_attachment_is_encoded_once() -> None:
    compiled = compile_batch(batch(attachments=(Attachment("a.bin", bytes(range(256)) * 8192),)), mail.settings())
    body = compiled.fill(delivery(), NOW).body
    assert len(body) > 2_800_000
    assert_fit_for_smtp(body)
    assert mail.verifies(body)


def test_all_kinds_of_line_ends_become_one() -> None:
    html = "a\r\nb\rc\nd\n\re\r\r\nf"
    body = build(batch(html + "{{ v }}"), delivery(fields={"v": html})).body
    assert_fit_for_smtp(body)
    assert texts(body)[1] == 2 * "a\nb\nc\nd\n\ne\n\nf"


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="@"):
        compile_batch(batch(sender="nobody"), mail.settings())
    with pytest.raises(ValueError, match="@"):
        compile_batch(batch(to=("nobody",)), mail.settings())
    with pytest.raises(ValueError, match="@"):
        build(batch(), delivery("nobody"))


def test_the_address_shown_is_the_address_sent_to() -> None:
    for written in ('"a b"@reader.example', "o'neil@reader.example", "a+b@READER.example"):
        message = parse(build(batch(), delivery(written)).body)
        assert message["to"] == str(parse_address(written))


def test_reply_to_stands_between_from_and_to_and_cannot_be_added_to() -> None:
    """In the order of the mail, folded like the other mailboxes, and oversigned."""
    mail = build(batch(reply_to=('"Ünser, Team" <team@other.example>', "b@x.example"), cc=("c@x.example",))).body
    names = [line.partition(b":")[0] for line in mail.partition(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] != b" "]
    assert names[names.index(b"From") :][:4] == [b"From", b"Reply-To", b"To", b"Cc"]
    found = parse(mail)["reply-to"].addresses
    assert [(a.display_name, a.addr_spec) for a in found] == [
        ("Ünser, Team", "team@other.example"),
        ("", "b@x.example"),
    ]
    assert b"Reply-To" not in build(batch()).body


def test_a_second_reply_to_breaks_the_signature() -> None:
    for reply_to in ((), ("a@x.example",)):
        mail = build(batch(reply_to=reply_to)).body
        assert verifies(mail)
        assert not verifies(mail.replace(b"From: ", b"Reply-To: evil@x.example\r\nFrom: ", 1))
