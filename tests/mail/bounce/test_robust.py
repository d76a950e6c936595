"""read_report with broken and hostile bytes: no exception, bounded time, and damage never produces a failure."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.bounce import Report, ReportKind, parse
from kannon.mail.bounce import read as reader
from tests.mail.bounce.corpus import CORPUS
from tests.support.cpu import cost
from tests.support.effort import examples

FLUFL = Path(__file__).parent / "flufl"
SAMPLES = [sample.raw for sample in CORPUS] + [path.read_bytes() for path in sorted(FLUFL.glob("*.txt"))]
NO_FAILURES = [sample.raw for sample in CORPUS if sample.kind is not ReportKind.FAILURE]
MIB = 1 << 20


def read(raw: bytes) -> Report:
    """Without the handler of exceptions in read_report."""
    return reader._read(raw)


def test_cut_anywhere() -> None:
    for sample in SAMPLES:
        for length in range(0, len(sample), max(1, len(sample) // 40)):
            read(sample[:length])
            read(sample[length:])


@pytest.mark.parametrize(
    "raw", NO_FAILURES, ids=[sample.name for sample in CORPUS if sample.kind is not ReportKind.FAILURE]
)
def test_no_cut_makes_a_failure(raw: bytes) -> None:
    for length in range(len(raw)):
        assert read(raw[:length]).kind is not ReportKind.FAILURE, raw[:length]


def damage(raw: bytes, random: Random) -> bytes:
    """A few pieces cut out, doubled, swapped or overwritten."""
    for _ in range(random.randint(1, 5)):
        start = random.randrange(len(raw) + 1)
        piece = raw[start : start + random.choice((0, 1, 2, 8, 60, 400))]
        junk = random.choice(
            (b"", piece * 2, random.randbytes(4), b"\0", b"\n\n", b"--", b"=", b"550 5.1.1 ", b"Action: ")
        )
        raw = raw[:start] + junk + raw[start + len(piece) :]
    return raw


def scratch(raw: bytes, random: Random) -> bytes:
    """One or two bytes lost or changed."""
    start = random.randrange(len(raw) + 1)
    return raw[:start] + random.choice((b"", b"X", b"\0", b"\xff")) + raw[start + random.randrange(3) :]


@examples(20)
@given(st.sampled_from(SAMPLES), st.integers(0, 1 << 32))
def test_damaged(raw: bytes, seed: int) -> None:
    random = Random(seed)
    for _ in range(25):
        report = read(damage(raw, random))
        assert report.kind is ReportKind.FAILURE or not report.permanent
        assert report.code == 0 or 400 <= report.code <= 599
        assert len(report.text) <= 1000
        assert "\n" not in report.text


@examples(20)
@given(st.sampled_from(NO_FAILURES), st.integers(0, 1 << 32))
def test_a_scratch_makes_no_failure(raw: bytes, seed: int) -> None:
    random = Random(seed)
    for _ in range(25):
        scratched = scratch(raw, random)
        assert read(scratched).kind is not ReportKind.FAILURE, scratched


@examples(100)
@given(st.binary(max_size=2000))
def test_noise(raw: bytes) -> None:
    assert read(raw).kind is not ReportKind.FAILURE


def _head(content_type: str = "text/plain", *more: str) -> bytes:
    lines = ["From: MAILER-DAEMON@x", "Subject: Undelivered Mail", f"Content-Type: {content_type}", *more]
    return "\n".join(lines).encode() + b"\n\n"


STATUS = (
    _head("multipart/report; report-type=delivery-status; boundary=b")
    + b"--b\nContent-Type: message/delivery-status\n\n"
)
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "letters": lambda n: _head() + b"a" * n,
    "spaces": lambda n: _head() + b" " * n,
    "line ends": lambda n: _head() + b"\n" * n,
    "carriage returns": lambda n: _head() + b"\r" * n,
    "zeros": lambda n: b"\0" * n,
    "quotes": lambda n: _head() + b"> " * (n // 2),
    "dashes": lambda n: _head() + b"\n--" * (n // 3),
    "codes": lambda n: _head() + b"550 " * (n // 4),
    "code lines": lambda n: _head() + b"550 5.1.1 a\n" * (n // 12),
    "statuses": lambda n: _head() + b"5." * (n // 2),
    "addresses": lambda n: _head() + b"a@a." * (n // 4),
    "address lines": lambda n: _head() + b"a@a.b\n" * (n // 6),
    "subjects of sentences": lambda n: _head() + b"user " * (n // 5),
    "contractions": lambda n: _head() + b"n't" * (n // 3),
    "tags": lambda n: _head("text/html") + b"<" * n,
    "paragraphs": lambda n: _head("text/html") + b"<p>&lt;" * (n // 7),
    "nested": lambda n: b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(n // 60)
    ),
    "parts": lambda n: _head("multipart/mixed; boundary=b") + b"--b\n\nx\n" * (n // 7),
    "boundaries": lambda n: _head("multipart/mixed; boundary=" + "-" * 60) + b"-" * n,
    "boundary lines": lambda n: _head("multipart/mixed; boundary=" + "-" * 60) + b"\n--" * (n // 3),
    "enclosed reports": lambda n: (
        _head("multipart/mixed; boundary=b")
        + b"--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/report; boundary=b\n\n" * (n // 80)
    ),
    "header lines": lambda n: b"a: b\n" * (n // 5),
    "folds": lambda n: b"a: b\n" + b" x\n" * (n // 3),
    "encoded words": lambda n: b"Subject: " + b"=?utf-8?q?a?= " * (n // 14),
    "headers of words": lambda n: b"".join(
        b"X-%d: " % i + b"=?utf-8?b?YQ==?= " * 480 + b"\n" for i in range(n // 8170)
    ),
    "broken words": lambda n: b"Subject: =?utf-8?q?" + b"=?" * (n // 2),
    "headers of words that do not end": lambda n: (b"Subject: " + b"=?a?b?c" * 1100 + b"\n") * (n // 7710),
    "and end behind a line of their own": lambda n: (b"Subject: " + b"=?a?b?c" * 1100 + b"\x0b?=\n") * (n // 7713),
    "fields of words that do not end": lambda n: (
        STATUS + b"Action: failed\n" + (b"Diagnostic-Code: " + b"=?a?b?c" * 1100 + b"\n") * (n // 7720)
    ),
    "parameters": lambda n: b"Content-Type: a/b; " + b"a=b;" * (n // 4),
    "open quotes": lambda n: b"Content-Type: a/b; " + b'a="' * (n // 3),
    "actions": lambda n: STATUS + b"Action: failed\n" * (n // 15),
    "a long diagnostic": lambda n: STATUS + b"Action: failed\nDiagnostic-Code: smtp;" + b" 550\n" * (n // 5),
    "base64": lambda n: _head("text/plain", "Content-Transfer-Encoding: base64") + b"QUJD\n" * (n // 5),
    "broken base64": lambda n: _head("text/plain", "Content-Transfer-Encoding: base64") + b"Q=" * (n // 2),
    "quoted-printable": lambda n: (
        _head("text/plain", "Content-Transfer-Encoding: quoted-printable") + b"=\n" * (n // 2)
    ),
    "escapes": lambda n: _head("text/plain; charset=iso-2022-jp") + b"\x1b$B" * (n // 3),
    "utf-7": lambda n: _head("text/plain; charset=utf-7") + b"+AAA-" * (n // 5),
    "a person": lambda n: b"From: a@b\nSubject: hello\n\n" + b"hello <a@b.c>\n" * (n // 14),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_mebibyte_in_a_fifth_of_a_second(make: Callable[[int], bytes]) -> None:
    raw = make(MIB)
    assert cost(lambda: read(raw)) < 0.2


def test_ordinary_reports_take_under_twenty_milliseconds() -> None:
    assert max(cost(partial(read, raw)) for raw in SAMPLES) < 0.02


def test_bytes_beyond_the_limit_are_not_read() -> None:
    assert parse.parse_message(b"Subject: x\n\n" + b"a" * 3 * MIB).parts[0].body.count(b"a") <= MIB
