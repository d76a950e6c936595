"""The rules of a send: sizes, the order of rejections, and time in proportion to the recipients."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.errors import InvalidArgument, LimitExceeded
from kannon.mail import ids
from kannon.mail.batch import Attachment, Recipient
from kannon.mail.send_check import RecipientChecker, check_rest, encoded_size
from kannon.mail.send_request import Limits, RejectReason, Tenant
from kannon.mail.tracking import IDENTIFIED, TrackingMode, TrackingPolicy, UnsupportedTracking
from tests.support.sends import send_request

TENANT = Tenant("example.com", IDENTIFIED)
ABOVE = TrackingPolicy(TrackingMode.FULL, TrackingMode.UNSPECIFIED)


@given(st.integers(0, 5000))
def test_the_size_of_an_attachment_is_what_base64_makes_of_it(size: int) -> None:
    assert encoded_size(size) == len(base64.encodebytes(bytes(size)).replace(b"\n", b"\r\n"))


def test_limits_hold_to_the_byte_and_to_the_recipient() -> None:
    attachments = (Attachment("a", bytes(300)), Attachment("b", bytes(57)))
    size = 10 + encoded_size(300) + encoded_size(57)
    send = send_request(attachments=attachments, recipients=[Recipient(f"{i}@b.de") for i in range(3)])
    check_rest(send, TENANT, Limits(size, 3), html_bytes=10)
    with pytest.raises(LimitExceeded, match="bytes"):
        check_rest(send, TENANT, Limits(size - 1, 3), html_bytes=10)
    with pytest.raises(LimitExceeded, match="recipients"):
        check_rest(send, TENANT, Limits(size, 2), html_bytes=10)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "TEXT/x.y+z", 'text/plain; charset="utf-8"', "application/vnd.a-b; name=c d.txt", ""]
)
def test_media_types_that_pass(media_type: str) -> None:
    check_rest(send_request(attachments=(Attachment("a", b"", media_type),)), TENANT, Limits(100, 1), html_bytes=1)


@pytest.mark.parametrize("media_type", ["text", "/", "text/", "a b/c", "text/plain\r\nX: y", "text/pläin", "a/b/c"])
def test_media_types_that_do_not(media_type: str) -> None:
    with pytest.raises(InvalidArgument, match="content_type"):
        check_rest(send_request(attachments=(Attachment("a", b"", media_type),)), TENANT, Limits(100, 1), html_bytes=1)


def test_a_content_id_is_bounded() -> None:
    limits = Limits(100, 1)
    check_rest(send_request(attachments=(Attachment("a", b"", content_id="x" * 200),)), TENANT, limits, html_bytes=1)
    with pytest.raises(InvalidArgument, match=r"attachments\[0\]\.content_id.*200"):
        check_rest(
            send_request(attachments=(Attachment("a", b"", content_id="x" * 201),)), TENANT, limits, html_bytes=1
        )


def test_the_first_reason_that_matches_is_the_one_given() -> None:
    """Each recipient has all the faults from its own on."""
    url = "https://example.com/{{ id }}"
    checker = RecipientChecker(send_request(subject="{{ s }}", unsubscribe_url=url), TENANT)
    unsupported, bad = UnsupportedTracking(), {"s": "\n"}
    assert checker.check(Recipient(" ", bad, unsupported)) is RejectReason.INVALID_EMAIL
    assert checker.check(Recipient("a@b.de", bad, unsupported)) is RejectReason.UNSUPPORTED_TRACKING_MODE
    assert checker.check(Recipient("A@b.de", bad, ABOVE)) is RejectReason.TRACKING_ABOVE_CEILING
    assert checker.check(Recipient("b@b.de", bad)) is RejectReason.UNSUBSCRIBE_URL_UNRESOLVED
    assert checker.check(Recipient("c@b.de", bad | {"id": "1"})) is RejectReason.INVALID_FIELD
    assert checker.check(Recipient("a@B.de", {"id": "1"})) is RejectReason.DUPLICATE  # rejected, but remembered
    fields = {"id": "1", "s": "fine"}
    opens_off = TrackingPolicy(TrackingMode.OFF, TrackingMode.UNSPECIFIED)
    accepted = checker.check(Recipient(" d@b.de ", fields, opens_off))
    assert accepted == Recipient("d@b.de", fields, TrackingPolicy(TrackingMode.OFF, TrackingMode.IDENTIFIED))


def test_a_field_of_the_batch_counts_in_the_subject_unless_the_recipient_has_its_own() -> None:
    checker = RecipientChecker(send_request(subject="{{ s }}", global_fields={"s": "a\rb"}), TENANT)
    assert checker.check(Recipient("a@b.de")) is RejectReason.INVALID_FIELD
    assert isinstance(checker.check(Recipient("b@b.de", {"s": "own"})), Recipient)


def test_a_recipient_above_the_batch_but_not_the_domain_gets_the_batchs_mode() -> None:
    stated = TrackingPolicy(TrackingMode.ANONYMOUS, TrackingMode.UNSPECIFIED)
    checker = RecipientChecker(send_request(tracking=stated), TENANT)
    higher = TrackingPolicy(TrackingMode.IDENTIFIED, TrackingMode.PSEUDONYMOUS)
    accepted = checker.check(Recipient("a@b.de", {}, higher))
    assert isinstance(accepted, Recipient)
    assert accepted.tracking == TrackingPolicy(TrackingMode.ANONYMOUS, TrackingMode.PSEUDONYMOUS)


def test_checking_takes_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        checker = RecipientChecker(send_request(subject="{{" * 500), TENANT)
        start = time.process_time()
        for number in range(count):
            checker.check(Recipient(f"{number}@b.de", {"name": "x"}))
        return time.process_time() - start

    small, large = (min(seconds(count) for _ in range(3)) for count in (5_000, 50_000))
    assert large < 40 * small


@given(st.binary(min_size=ids.DRAW_BYTES, max_size=ids.DRAW_BYTES))
def test_identifiers_have_their_shapes(draw: bytes) -> None:
    assert ids.is_template_id(ids.template_id("mail.example.com", draw))
    assert ids.is_api_key_id(ids.api_key_id(draw))
    assert ids.batch_id("example.com", draw) == ids.template_id("example.com", draw).replace("template_", "msg_")
    secret = ids.api_key_secret(draw)
    assert secret.startswith("k_")
    assert len(secret) == 66
    assert secret[2:].isalnum()
    assert ids.mask(secret) == secret[:8] + "..."


def test_identifiers_use_all_of_their_draw() -> None:
    draws = [bytes(63) + bytes([n]) for n in range(256)] + [bytes([n]) + bytes(63) for n in range(1, 256)]
    assert len({ids.batch_id("a.b", draw) for draw in draws}) == len(draws)
    with pytest.raises(ValueError, match="random bytes"):
        ids.batch_id("a.b", b"too few")


@pytest.mark.parametrize("text", ["template_" + "A" * 24 + "@a.b", "template_" + "a" * 23 + "@a.b", "x\n", ""])
def test_what_is_no_template_id(text: str) -> None:
    assert not ids.is_template_id(text)
