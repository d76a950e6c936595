"""From what a report says to the event it is."""

from datetime import UTC, datetime, timedelta

import pytest

from kannon.components.smtp.handler import report_event
from kannon.mail.bounce import Report, ReportKind
from kannon.mail.event import Event, EventType, delivery_event_id
from tests.support.inbound import DOMAIN, Ref

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REF = Ref(DOMAIN, "msg_1", "user@remote.example")
FAILED = Report(ReportKind.FAILURE, permanent=True, code=550, enhanced_status="5.1.1", text="550 no")


def event_of(report: Report, delivery_id: int = 7) -> Event:
    event = report_event(report, delivery_id, REF, NOW)
    assert event is not None
    return event


@pytest.mark.parametrize("kind", [ReportKind.DELAYED, ReportKind.DELIVERED, ReportKind.AUTO_REPLY, ReportKind.UNKNOWN])
def test_no_event(kind: ReportKind) -> None:
    assert report_event(Report(kind), 7, REF, NOW) is None


def test_a_delivery_has_one_id_for_its_bounces_and_one_for_its_complaints() -> None:
    event_id = event_of(FAILED).event_id
    assert event_id not in {delivery_event_id(7, attempt, EventType.BOUNCED) for attempt in range(100)}
    assert event_id == event_of(Report(ReportKind.FAILURE, permanent=False, code=452, text="452 other")).event_id
    assert len({event_id, event_of(FAILED, 8).event_id, event_of(Report(ReportKind.COMPLAINT)).event_id}) == 3


@pytest.mark.parametrize(
    ("sent_at", "at"),
    [
        (None, NOW),
        (NOW - timedelta(days=3), NOW - timedelta(days=3)),
        (NOW + timedelta(minutes=5), NOW + timedelta(minutes=5)),
        (NOW - timedelta(days=8), NOW),
        (NOW + timedelta(days=1), NOW),
    ],
)
def test_the_time_is_the_reports_where_it_can_be_true(sent_at: datetime | None, at: datetime) -> None:
    assert event_of(FAILED.cleaned(sent_at)).at == at
