"""The protocol without I/O: bytes in, bytes out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.verdict import Deferred, Refused, Stage
from kannon.outbound.client.dialogue import Command, Transaction
from kannon.outbound.client.message import Mail, dot_stuffed, prepare, unsupported
from kannon.outbound.client.replies import MAX_LINE, Extensions, RawReply, ReplyReader, parse_extensions
from kannon.outbound.trouble import Failure, Kind, classify, tries_another_host, worse
from tests.support.effort import examples
from tests.support.envelopes import BODY, an_envelope

PIPELINING = Extensions(pipelining=True)
PLAIN = Extensions()


def a_mail(body: bytes = BODY, to: str = "b@dest.test") -> Mail:
    return prepare(an_envelope(body=body), to)


def reply(text: str) -> RawReply:
    (found,) = ReplyReader().feed(text.encode() + b"\r\n")
    return found


# -- pipelining


def test_with_pipelining_a_mail_is_two_writes() -> None:
    transaction = Transaction(a_mail(), PIPELINING, reset=False)
    assert transaction.start() == b"MAIL FROM:<b-1@sender.test>\r\nRCPT TO:<b@dest.test>\r\nDATA\r\n"
    assert transaction.on_reply(reply("250 ok")) == ()
    assert transaction.on_reply(reply("250 ok")) == ()
    assert transaction.on_reply(reply("354 go")) == (BODY, b".\r\n")
    transaction.stage = Stage.DOT
    assert transaction.on_reply(reply("250 taken")) == ()
    assert transaction.accepted == reply("250 taken")
    assert transaction.reusable


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_mail_that_another_sender_may_have_gets_no_final_dot(*, pipelining: bool) -> None:
    held = [True]
    mail = prepare(an_envelope(), "b@dest.test", lambda: held[0])
    transaction = Transaction(mail, Extensions(pipelining=pipelining), reset=False)
    transaction.start()
    transaction.on_reply(reply("250 ok"))
    transaction.on_reply(reply("250 ok"))
    held[0] = False
    assert transaction.on_reply(reply("354 go")) == ()
    assert (transaction.done, transaction.withdrawn, transaction.reusable) == (True, True, False)
    assert (transaction.accepted, transaction.failure) == (None, None)


def test_without_it_every_reply_is_waited_for() -> None:
    transaction = Transaction(a_mail(), PLAIN, reset=True)
    assert transaction.start() == b"RSET\r\n"
    assert transaction.on_reply(reply("250 ok")) == (b"MAIL FROM:<b-1@sender.test>\r\n",)
    assert transaction.on_reply(reply("250 ok")) == (b"RCPT TO:<b@dest.test>\r\n",)
    assert transaction.stage is Stage.RCPT
    assert transaction.on_reply(reply("550 no")) == ()
    assert transaction.done
    assert transaction.reusable


def test_the_next_mails_burst_begins_with_rset() -> None:
    assert Transaction(a_mail(), PIPELINING, reset=True).start().startswith(b"RSET\r\nMAIL FROM:")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_refusal_inside_the_burst_stands_even_if_the_connection_ends_there(at: int) -> None:
    transaction = Transaction(a_mail(), PIPELINING, reset=False)
    transaction.start()
    for _ in range(at):
        transaction.on_reply(reply("250 ok"))
    transaction.on_reply(reply("550 5.7.1 no"))
    transaction.on_lost(Failure(Kind.CLOSED, transaction.stage))
    assert transaction.failure is not None
    verdict = classify(transaction.failure, "mx.test")
    assert isinstance(verdict, Refused)
    assert verdict.stage is (Stage.MAIL, Stage.RCPT, Stage.DATA)[at]


def test_the_first_bad_reply_is_the_one_reported() -> None:
    transaction = Transaction(a_mail(), PIPELINING, reset=False)
    for line in ("250 ok", "450 4.2.1 greylisted", "554 5.5.1 no valid recipients"):
        transaction.on_reply(reply(line))
    assert transaction.done
    assert transaction.reusable
    assert transaction.failure is not None
    assert isinstance(classify(transaction.failure, ""), Deferred)


def test_data_that_is_accepted_without_a_recipient_gets_an_empty_mail() -> None:
    """RFC 2920 §3.1."""
    transaction = Transaction(a_mail(), PIPELINING, reset=False)
    for line in ("250 ok", "550 5.1.1 nobody"):
        assert transaction.on_reply(reply(line)) == ()
    assert transaction.on_reply(reply("354 go")) == (b".\r\n",)
    transaction.on_reply(reply("250 how odd"))
    assert transaction.accepted is None
    assert transaction.failure is not None
    assert transaction.failure.stage is Stage.RCPT
    assert transaction.reusable


@pytest.mark.parametrize(("line", "at"), [("354 eh", 0), ("354 eh", 1), ("250 ok", 2)])
def test_a_good_reply_of_the_wrong_kind_is_no_success(line: str, at: int) -> None:
    transaction = Transaction(a_mail(), PLAIN, reset=False)
    transaction.start()
    for _ in range(at):
        transaction.on_reply(reply("250 ok"))
    assert transaction.on_reply(reply(line)) == ()
    assert transaction.failure is not None
    assert transaction.failure.kind is Kind.GARBAGE


def test_a_250_before_the_dot_is_no_success() -> None:
    transaction = Transaction(a_mail(), PIPELINING, reset=False)
    for line in ("250 ok", "250 ok", "354 go"):
        transaction.on_reply(reply(line))
    transaction.on_reply(reply("250 so soon?"))  # still in stage BODY
    assert transaction.accepted is None
    assert not transaction.reusable


def test_421_ends_the_session_wherever_it_comes() -> None:
    transaction = Transaction(a_mail(), PIPELINING, reset=False)
    transaction.on_reply(reply("421 4.3.2 bye"))
    assert transaction.done
    assert not transaction.reusable


def test_a_connection_that_died_idle_is_not_the_mails_failure() -> None:
    for lost in (True, False):
        transaction = Transaction(a_mail(), PIPELINING, reset=True)
        transaction.start()
        if lost:
            transaction.on_lost(Failure(Kind.CLOSED, Stage.MAIL))
        else:
            transaction.on_reply(reply("421 4.4.2 idle too long"))
        assert transaction.stale
    fresh = Transaction(a_mail(), PIPELINING, reset=False)
    fresh.on_lost(Failure(Kind.CLOSED, Stage.MAIL))
    assert not fresh.stale


def test_a_reset_connection_that_answered_rset_is_the_mails_failure() -> None:
    transaction = Transaction(a_mail(), PIPELINING, reset=True)
    transaction.on_reply(reply("250 flushed"))
    transaction.on_lost(Failure(Kind.CLOSED, Stage.MAIL))
    assert not transaction.stale


# -- parameters


def test_parameters_are_sent_where_they_are_offered() -> None:
    latin = "Grüße".encode()
    mail = a_mail(b"Subject: x\r\n\r\n" + latin + b"\r\n")
    offered = Extensions(pipelining=True, size=True, eight_bit=True, smtputf8=True)
    line = Transaction(mail, offered, reset=False).start().split(b"\r\n")[0]
    assert line == b"MAIL FROM:<b-1@sender.test> SIZE=%d BODY=8BITMIME" % mail.size
    assert mail.size == len(b"Subject: x\r\n\r\n" + latin + b"\r\n")


@pytest.mark.parametrize(
    ("mail", "enhanced"),
    [
        (a_mail(to="grüße@dest.test"), "5.6.7"),
        (a_mail(body="Subject: Grüße\r\n\r\nx\r\n".encode()), "5.6.7"),
        (a_mail(body="Subject: x\r\n\r\nGrüße\r\n".encode()), "5.6.3"),
    ],
)
def test_a_mail_that_needs_a_missing_extension_is_refused_before_it_is_sent(mail: Mail, enhanced: str) -> None:
    missing = unsupported(mail, PIPELINING)
    assert missing is not None
    verdict = classify(missing, "mx.test")
    assert isinstance(verdict, Refused)
    assert verdict.reply.enhanced == enhanced
    assert not tries_another_host(missing)
    assert unsupported(mail, Extensions(eight_bit=True, smtputf8=True)) is None


def test_smtputf8_is_asked_for_only_when_needed() -> None:
    everything = Extensions(True, True, True, True, True)
    assert b"SMTPUTF8" not in Transaction(a_mail(), everything, reset=False).start()
    needy = a_mail(to="grüße@dest.test")
    start = Transaction(needy, everything, reset=False).start()
    assert b"SMTPUTF8" in start
    assert "RCPT TO:<grüße@dest.test>".encode() in start


def test_extensions_are_read_in_any_letter_case() -> None:
    greeting = (
        "250-mx.test\r\n250-Pipelining\r\n250-size 1000\r\n250-AUTH plain LOGIN\r\n250-AUTH=CRAM-MD5\r\n250 starttls"
    )
    found = parse_extensions(reply(greeting))
    assert found == Extensions(
        pipelining=True, size=True, starttls=True, auth=frozenset({"PLAIN", "LOGIN", "CRAM-MD5"})
    )
    assert parse_extensions(reply("250 PIPELINING")) == Extensions()  # the first line is a greeting


# -- dots


def unstuffed(wire: bytes) -> bytes:
    """As a server decodes it, RFC 5321 §4.5.2."""
    lines = wire.split(b"\r\n")
    end = lines.index(b".")
    assert lines[end:] == [b".", b""], "the mail ends where it is meant to"
    return b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines[:end])


@given(st.lists(st.text("ab.\r", max_size=5).map(str.encode), max_size=8))
def test_dots_arrive_as_they_were(lines: list[bytes]) -> None:
    body = b"\r\n".join(line.replace(b"\r", b"") for line in lines) + b"\r\n"
    assert unstuffed(b"".join(dot_stuffed(body))) == body


def test_a_body_without_a_last_line_end_gets_one() -> None:
    assert unstuffed(b"".join(dot_stuffed(b"x\r\n.y"))) == b"x\r\n.y\r\n"


def test_a_body_without_dots_is_not_copied() -> None:
    assert dot_stuffed(BODY)[0] is BODY


# -- replies


@given(st.lists(st.sampled_from([b"250 ok", b"250-a\r\n250 b", b"354", b"550-5.1.1 x\r\n550 5.1.1 y"])), st.data())
def test_replies_are_the_same_however_the_bytes_are_cut(texts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(text + b"\r\n" for text in texts)
    whole = ReplyReader().feed(stream)
    assert len(whole) == len(texts)
    reader = ReplyReader()
    found: list[RawReply] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == whole
    assert not reader.pending
    assert not reader.broken


@examples(100)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_exception(stream: bytes) -> None:
    reader = ReplyReader()
    for each in reader.feed(stream):
        assert 200 <= each.code <= 599
        each.parsed()


@pytest.mark.parametrize("line", [b"hello", b"150 x", b"650 x", b"25 x", b"250x", b"", b"\xff\xfe\xfd", b"2 50"])
def test_input_that_is_no_reply_breaks_the_session(line: bytes) -> None:
    reader = ReplyReader()
    assert reader.feed(b"250 fine\r\n" + line + b"\r\n") == [(250, [b"250 fine"])]
    assert reader.broken


def test_bare_line_feeds_are_accepted() -> None:
    assert ReplyReader().feed(b"250-a\n250 b\n") == [(250, [b"250-a", b"250 b"])]


def test_endless_lines_and_replies_are_cut_off() -> None:
    line = ReplyReader()
    line.feed(b"250 " + b"x" * (2 * MAX_LINE))
    assert line.broken
    many = ReplyReader()
    many.feed(b"250-x\r\n" * 1000)
    assert many.broken


def test_an_endless_line_in_small_pieces_costs_linear_time() -> None:
    reader = ReplyReader()
    began = time.process_time()
    for _ in range(MAX_LINE):
        reader.feed(b"x")
    assert time.process_time() - began < 1.0
    assert not reader.broken
    reader.feed(b"x")
    assert reader.broken


def test_a_command_keeps_any_reply() -> None:
    ask = Command(Stage.EHLO, b"EHLO x\r\n")
    assert ask.start() == b"EHLO x\r\n"
    ask.on_reply(reply("550 no"))
    assert ask.outcome == reply("550 no")


# -- which of two failures is reported


def test_the_failure_that_came_further_is_reported() -> None:
    early = Failure(Kind.CONNECT, Stage.CONNECT)
    late = Failure(Kind.REPLY, Stage.RCPT, reply("451 x").parsed())
    assert worse(early, late) is late
    assert worse(late, early) is late


def test_a_fact_about_one_host_is_less_than_trouble_with_another() -> None:
    fact = Failure(Kind.FACT, Stage.DNS, reply("554 5.4.6 us").parsed())
    trouble = Failure(Kind.LOOKUP, Stage.DNS, reason="servfail")
    assert worse(fact, trouble) is trouble
    assert worse(trouble, fact) is trouble
