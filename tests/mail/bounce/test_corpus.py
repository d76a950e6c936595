"""Each mail of the corpus has the expected report; single forms of reports."""

from datetime import UTC, datetime

import pytest

from kannon.mail.bounce import ReportKind, read_report
from kannon.mail.bounce.report import without_codes
from tests.mail.bounce.corpus import CORPUS, Sample


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
def test_corpus(sample: Sample) -> None:
    report = read_report(sample.raw)
    assert (report.kind, report.permanent, report.code) == (sample.kind, sample.permanent, sample.code), report


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"], ids=["crlf", "cr"])
def test_line_ends_do_not_matter(sample: Sample, line_end: bytes) -> None:
    assert read_report(sample.raw.replace(b"\n", line_end)) == read_report(sample.raw)


def dsn(fields: str, text: str = "It went wrong.", sender: str = "MAILER-DAEMON@mx.example") -> bytes:
    return (
        f"From: {sender}\nSubject: Returned mail\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain\n\n{text}\n\n"
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n{fields}\n"
        "--b\nContent-Type: message/rfc822\n\nSubject: 550 5.9.9 the original\n\nAction: failed\n--b--\n"
    ).encode()


def test_field_names_and_values_in_any_case_and_folded() -> None:
    report = read_report(
        dsn(
            "FINAL-RECIPIENT: RFC822; u@x.example\nACTION: Failed\nstatus: 5.2.2\n"
            "diagnostic-CODE: SMTP;\n 552 5.2.2\n\tfull"
        )
    )
    assert (report.kind, report.permanent, report.code) == (ReportKind.FAILURE, True, 552)
    assert (report.enhanced_status, report.text, report.recipient) == ("5.2.2", "full", "u@x.example")
    assert report.host == "mx.example"


def test_encoded_words_in_a_diagnostic() -> None:
    report = read_report(
        dsn("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; =?utf-8?q?550_5=2E1=2E1_f=C3=BCr_niemand?=")
    )
    assert (report.code, report.text) == (550, "für niemand")


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
def test_the_text_begins_without_the_code(sample: Sample) -> None:
    """As the text of a sender's event. The code has a field of its own."""
    report = read_report(sample.raw)
    assert not report.code or not report.text.startswith((str(report.code), report.enhanced_status or " ")), report.text


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("550-5.1.1 No such user. 550-5.1.1 Please check 550 5.1.1 it", 550, "No such user. Please check it"),
        ("550 no", 550, "no"),
        ("550", 550, ""),
        ("550-no", 550, "no"),
        ("host mx[192.0.2.1] said: 550 5.1.1 <u>: no (in reply to RCPT TO command)", 550,
         "host mx[192.0.2.1] said: <u>: no (in reply to RCPT TO command)"),
        ("host mx said: 550 no", 550, "host mx said: no"),
        ("554 4.4.7 expired <421 4.4.2 Connection timed out>", 421, "554 4.4.7 expired <Connection timed out>"),
        ("552 5.2.2 552 users share 5520 bytes", 552, "552 users share 5520 bytes"),
        ("smtp; 5.1.1", 0, "smtp; 5.1.1"),
    ],
)  # fmt: skip
def test_codes_are_cut_from_the_text(text: str, code: int, expected: str) -> None:
    assert without_codes(text, code) == expected


def test_base64_status_part() -> None:
    raw = (
        b"From: a@b\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n"
        b"Content-Transfer-Encoding: base64\n\n"
        b"RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IHVAeAoKQWN0aW9uOiBmYWlsZWQKU3RhdHVzOiA1LjEuMQpEaWFnbm9zdGljLUNvZGU6IHNtdHA7\n"
        b"IDU1MCA1LjEuMSBubw==\n--b--\n"
    )
    report = read_report(raw)
    assert (report.kind, report.code, report.enhanced_status) == (ReportKind.FAILURE, 550, "5.1.1")


@pytest.mark.parametrize(
    ("fields", "kind", "permanent"),
    [
        ("Action: delayed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 no", ReportKind.DELAYED, False),
        ("Action: delivered\nStatus: 2.0.0", ReportKind.DELIVERED, False),
        ("Action: relayed\nStatus: 2.0.0", ReportKind.DELIVERED, False),
        ("Action: expanded\nStatus: 2.0.0", ReportKind.DELIVERED, False),
        ("Action: failed\nStatus: 4.4.7", ReportKind.FAILURE, False),
        ("Action: failed\nStatus: 4.0.0\nDiagnostic-Code: smtp; 550 5.1.1 no", ReportKind.FAILURE, True),
        ("Action: failed\nStatus: 4.0.0\nDiagnostic-Code: smtp; 554 busy", ReportKind.FAILURE, False),
        ("Action: failed", ReportKind.FAILURE, True),
        ("Action: xxiled\nStatus: 4.4.1", ReportKind.DELAYED, False),
        ("Status: 5.1.1", ReportKind.FAILURE, True),
        (
            "Action: delivered\nStatus: 2.0.0\n\nFinal-Recipient: rfc822;v@x\nAction: failed\nStatus: 5.1.1",
            ReportKind.FAILURE,
            True,
        ),
    ],
)
def test_action_and_status_decide(fields: str, kind: ReportKind, permanent: bool) -> None:
    report = read_report(dsn(fields))
    assert (report.kind, report.permanent) == (kind, permanent)


def test_the_enclosed_original_is_no_evidence() -> None:
    assert read_report(dsn("Action: delayed\nStatus: 4.4.1")).enhanced_status == "4.4.1"
    assert read_report(dsn("Action: failed\nStatus: 5.0.0")).code == 0


def test_the_inner_reply_that_agrees_with_the_status() -> None:
    report = read_report(
        dsn("Action: failed\nStatus: 4.4.7\nDiagnostic-Code: smtp; 554 4.4.7 expired <421 4.4.2 Connection timed out>")
    )
    assert (report.code, report.permanent) == (421, False)


def feedback(fields: str) -> bytes:
    head = "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n"
    return f"{head}{fields}\n--b--\n".encode()


def test_feedback_that_is_no_complaint() -> None:
    assert read_report(feedback("Feedback-Type: not-spam")).kind is ReportKind.UNKNOWN


def test_authentication_failure_report() -> None:
    """RFC 6591 §3.1, as DMARC's failure reports are (RFC 7489 §7.3)."""
    report = read_report(
        feedback("Feedback-Type: auth-failure\nAuth-Failure: dmarc\nOriginal-Rcpt-To: <u@x.example>\nVersion: 1")
    )
    assert (report.kind, report.text, report.recipient) == (
        ReportKind.AUTH_FAILURE,
        "auth-failure: dmarc",
        "u@x.example",
    )
    assert not report.permanent


@pytest.mark.parametrize("sender", ["postmaster@x.example", "Mail Service <mail@x.example>", "info@x.example"])
@pytest.mark.parametrize("address", ["user@x.example", "<user@x.example>"])
def test_a_sentence_that_names_the_recipient_shows_a_report(sender: str, address: str) -> None:
    """No reply, no program's name, no subject that reveals it."""
    words = f"Your message\ncould not be delivered to:\n\n{address}\n\nAs their mailbox is full.\n"
    report = read_report(f"From: {sender}\nSubject: Your message\n\n{words}".encode())
    assert (report.kind, report.permanent, report.recipient) == (ReportKind.FAILURE, True, "user@x.example")


def test_a_personal_letter_about_a_failure_is_no_report() -> None:
    words = "Hi, your mail could not be delivered to bob@x.example, he told me. Shall I pass it on?\n"
    assert read_report(f"From: Ann <ann@x.example>\nSubject: Bob\n\n{words}".encode()).kind is ReportKind.UNKNOWN


@pytest.mark.parametrize(
    "words",
    [
        "  user@@x.example: malformed address: @x.example may not follow user@",
        "The message has recipient addresses that were incorrectly constructed: user@x",
        "501 malformed recipient address",
    ],
)
def test_malformed_address(words: str) -> None:
    report = read_report(f"From: MAILER-DAEMON@x.example\nSubject: Your message\n\n{words}\n".encode())
    assert report.kind is ReportKind.FAILURE


@pytest.mark.parametrize(
    ("head", "text", "kind"),
    [
        (
            "From: Jane <jane@mailserver.example>\nAuto-Submitted: auto-replied\nSubject: Re: hello",
            "I do not work here any more: this mailbox is no longer available, your mail was not delivered.",
            ReportKind.AUTO_REPLY,
        ),
        (
            "From: Jane <jane@postmaster.example>\nSubject: Farewell",
            "This address is no longer valid, your message could not be forwarded.",
            ReportKind.UNKNOWN,
        ),
        (
            "From: Postmaster <postmaster@x.example>\nAuto-Submitted: auto-replied\nSubject: [Case 12] Re: hello",
            "If your mail was rejected by our servers, look at the reply: 550 5.7.1 means you are on a list.",
            ReportKind.AUTO_REPLY,
        ),
        (
            "From: news-bounces@lists.example\nSubject: Your message to News awaits moderator approval",
            "The reason it is being held: message body is too big: 45231 bytes",
            ReportKind.UNKNOWN,
        ),
        (
            "From: MAILER-DAEMON@x.example\nSubject: Successful Mail Delivery Report",
            "Your message was successfully delivered. You may still be told of mail delivery errors by other systems.",
            ReportKind.DELIVERED,
        ),
        (
            "From: Mailer-Daemon@x.example\nAuto-Submitted: auto-replied\nSubject: In einer anderen Sprache",
            "550 5.1.1 User unknown",
            ReportKind.FAILURE,
        ),
    ],
)
def test_the_sender_decides(head: str, text: str, kind: ReportKind) -> None:
    """The name and local part of a daemon, postmaster or list count, not its host name."""
    assert read_report(f"{head}\nTo: b-1@tenant.example\n\n{text}\n".encode()).kind is kind


def test_a_mail_that_runs_in_a_circle() -> None:
    assert read_report(b"Received: x\n" * 51 + dsn("Action: failed\nStatus: 5.1.1")).kind is ReportKind.UNKNOWN


def test_no_control_characters_come_out() -> None:
    """PostgreSQL takes no NUL, and a log line no escape sequence."""
    report = read_report(
        dsn(
            "Action: failed\nFinal-Recipient: rfc822; u=?utf-8?q?=00?=@x\n"
            "Diagnostic-Code: smtp; =?utf-8?q?550_a=00=1B[2Jb?="
        )
    )
    assert (report.text, report.recipient) == ("a[2Jb", "u@x")


@pytest.mark.parametrize(
    ("date", "sent_at"),
    [
        ("Tue, 02 Jan 2024 04:04:05 +0100", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2 Jan 2024 03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("yesterday", None),
        ("Tue, 99 Jan 99999 99:99:99 +9999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("", None),
    ],
)
def test_when_it_was_sent(date: str, sent_at: datetime | None) -> None:
    assert read_report(f"Date: {date}\nSubject: x\n\nx".encode()).sent_at == sent_at
