"""Intake's rules by calling them: sizes, the order of refusals, and what costs no more than it must."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.errors import InvalidArgument, LimitExceeded
from kannon.mail import ids
from kannon.mail.batch import Attachment
from kannon.mail.send_request import (
    NOTHING_STATED,
    AcceptedRecipient,
    Limits,
    RecipientChecker,
    RejectReason,
    StatedTracking,
    Submission,
    Tenant,
    check_rest,
    encoded_size,
)
from kannon.mail.tracking import IDENTIFIED, TrackingMode, TrackingPolicy

TENANT = Tenant("example.com", IDENTIFIED)


def a_submission(**changes: object) -> Submission:
    values: dict[str, object] = {
        "sender_email": "a@example.com",
        "sender_alias": "",
        "subject": "s",
        "recipient_count": 1,
        "html": "x",
    }
    return Submission(**(values | changes))  # type: ignore[arg-type]  # a test's shorthand


@given(st.integers(0, 5000))
def test_the_size_of_an_attachment_is_what_base64_makes_of_it(size: int) -> None:
    assert encoded_size(size) == len(base64.encodebytes(bytes(size)).replace(b"\n", b"\r\n"))


def test_limits_hold_to_the_byte_and_to_the_recipient() -> None:
    attachments = (Attachment("a", bytes(300)), Attachment("b", bytes(57)))
    size = 10 + encoded_size(300) + encoded_size(57)
    send = a_submission(recipient_count=3, attachments=attachments)
    check_rest(send, TENANT, Limits(size, 3), html_bytes=10)
    with pytest.raises(LimitExceeded, match="bytes"):
        check_rest(send, TENANT, Limits(size - 1, 3), html_bytes=10)
    with pytest.raises(LimitExceeded, match="recipients"):
        check_rest(send, TENANT, Limits(size, 2), html_bytes=10)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "TEXT/x.y+z", 'text/plain; charset="utf-8"', "application/vnd.a-b; name=c d.txt", ""]
)
def test_media_types_that_pass(media_type: str) -> None:
    check_rest(a_submission(attachments=(Attachment("a", b"", media_type),)), TENANT, Limits(100, 1), html_bytes=1)


@pytest.mark.parametrize("media_type", ["text", "/", "text/", "a b/c", "text/plain\r\nX: y", "text/pläin", "a/b/c"])
def test_media_types_that_do_not(media_type: str) -> None:
    with pytest.raises(InvalidArgument, match="content_type"):
        check_rest(a_submission(attachments=(Attachment("a", b"", media_type),)), TENANT, Limits(100, 1), html_bytes=1)


def test_the_first_reason_that_matches_is_the_one_given() -> None:
    """Each recipient would be refused for all the reasons from its own on."""
    url = "https://example.com/{{ id }}"
    gate = RecipientChecker(a_submission(subject="{{ s }}", unsubscribe_url=url), TENANT)
    bad = {"s": "\n"}
    assert gate.judge(" ", bad, StatedTracking(9, 9)) is RejectReason.INVALID_EMAIL
    assert gate.judge("a@b.de", bad, StatedTracking(9, 9)) is RejectReason.UNSUPPORTED_TRACKING_MODE
    assert gate.judge("A@b.de", bad, StatedTracking(5, 0)) is RejectReason.TRACKING_ABOVE_CEILING
    assert gate.judge("b@b.de", bad, NOTHING_STATED) is RejectReason.UNSUBSCRIBE_URL_UNRESOLVED
    assert gate.judge("c@b.de", bad | {"id": "1"}, NOTHING_STATED) is RejectReason.INVALID_FIELD
    assert gate.judge("a@B.de", {"id": "1"}, NOTHING_STATED) is RejectReason.DUPLICATE  # refused, but seen
    taken = gate.judge("d@b.de", {"id": "1", "s": "fine"}, StatedTracking(1, 0))
    policy = TrackingPolicy(TrackingMode.OFF, TrackingMode.IDENTIFIED)
    assert taken == AcceptedRecipient("d@b.de", {"id": "1", "s": "fine"}, policy)


def test_a_field_of_the_batch_counts_in_the_subject_unless_the_recipient_has_its_own() -> None:
    gate = RecipientChecker(a_submission(subject="{{ s }}", global_fields={"s": "a\rb"}), TENANT)
    assert gate.judge("a@b.de", {}, NOTHING_STATED) is RejectReason.INVALID_FIELD
    assert isinstance(gate.judge("b@b.de", {"s": "own"}, NOTHING_STATED), AcceptedRecipient)


def test_a_recipient_above_the_batch_but_not_the_domain_gets_the_batchs_mode() -> None:
    gate = RecipientChecker(a_submission(tracking=StatedTracking(2, 0)), TENANT)
    taken = gate.judge("a@b.de", {}, StatedTracking(4, 3))
    assert isinstance(taken, AcceptedRecipient)
    assert taken.policy == TrackingPolicy(TrackingMode.ANONYMOUS, TrackingMode.PSEUDONYMOUS)


def test_judging_takes_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        gate = RecipientChecker(a_submission(subject="{{" * 500), TENANT)
        start = time.process_time()
        for number in range(count):
            gate.judge(f"{number}@b.de", {"name": "x"}, NOTHING_STATED)
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
