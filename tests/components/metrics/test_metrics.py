"""/metrics as Prometheus reads it: real database and bus, a component's view of each, and the documents."""

import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from kannon.bus.bus import Bus
from kannon.components.metrics import Gauges, Host, MetricsServer, Reading, Sources
from kannon.db.pool import Database, open_database
from kannon.disk import DiskUsage
from kannon.errors import AddressInUse
from kannon.mail.event import Event, EventType
from kannon.mail.suppression import Cause, Suppression
from kannon.metrics import names
from kannon.metrics.metrics import Metrics
from kannon.metrics.names import SessionResult, Spec
from tests.support.http import request
from tests.support.patience import patience
from tests.support.pool import insert_batch

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[3] / "docs/operating.md"


@dataclass(frozen=True)
class State:
    name: str
    phase: str
    restarts: int = 0


@dataclass(frozen=True)
class Site:
    waiting: int
    in_flight: int
    connections: int
    next_probe_in: float | None = None


@dataclass(frozen=True)
class Disk:
    path: Path = Path("/var/lib/kannon")
    usage: DiskUsage | None = None


def states() -> Sequence[State]:
    return [State("api", "ready"), State("stats", "failed", 3)]


def event(kind: EventType, *, host: str = "", code: int = 0, email: str = "a@Example.org") -> Event:
    return Event("1", kind, "example.com", "msg_1@example.com", email, NOW, code=code, host=host)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=False)


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


@pytest.fixture
def sources(db: Database, bus: Bus) -> Sources:
    host = Host(
        disk=Disk(usage=DiskUsage(free=30, total=100, reserve=5)),
        last_backup=lambda: datetime.now(UTC) - timedelta(hours=2),
        certificates=lambda: {"api.tls_cert": datetime.now(UTC) + timedelta(days=30)},
    )
    return Sources(db, bus, states, host=host)


@asynccontextmanager
async def serving(metrics: MetricsServer) -> AsyncIterator[int]:
    """Its port."""
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(metrics.run, stop)
            yield metrics.addresses[0][1]
            stop.set()


async def read(registry: CollectorRegistry, sources: Sources) -> dict[str, float]:
    """Every sample by its name and labels, as a reader of the listener finds them."""
    async with serving(MetricsServer(Reading(registry, Gauges(sources)), listen="127.0.0.1:0")) as port:
        answer = await request(port, "/metrics")
    assert (answer.status, answer.headers["content-type"][:10]) == (200, "text/plain")
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_pool_streams_components_and_connections(
    registry: CollectorRegistry, sources: Sources, db: Database, bus: Bus
) -> None:
    await insert_batch(db, ["a@x.org", "b@x.org"], name="1", state="scheduled", due=-timedelta(minutes=5))
    await insert_batch(db, ["c@x.org"], name="2", state="scheduled", due=timedelta(hours=1))
    await insert_batch(db, ["d@x.org"], name="3", state="sending")
    await bus.publish_events([event(EventType.DELIVERED)])
    await bus.add_dead_letter("kannon.stats.open", b"junk", "not an event")
    sites = [Site(3, 2, 4), Site(1, 0, 0, next_probe_in=5.0)]
    sources = replace(sources, destinations=lambda: sites, engagement=lambda: (7, 1), inbound_sessions=lambda: 3)
    found = await read(registry, sources)
    assert {name: found[name] for name in found if name.startswith("kannon_deliveries")} == {
        "kannon_deliveries to_validate": 0,
        "kannon_deliveries validating": 0,
        "kannon_deliveries scheduled": 3,
        "kannon_deliveries sending": 1,
    }
    assert 300 <= found["kannon_overdue_seconds scheduled"] < 330
    assert (found["kannon_stream_messages kannon_stats"], found["kannon_stream_messages kannon_sending"]) == (1, 0)
    assert found["kannon_stream_limit kannon_stats"] == 100_000
    assert 0 <= found["kannon_stream_age_seconds kannon_stats"] < 30
    assert found["kannon_consumer_waiting stats kannon_stats"] == 1
    assert found["kannon_parked_messages"] == 1
    assert (found["kannon_component_ready api"], found["kannon_component_ready stats"]) == (1, 0)
    assert found["kannon_component_restarts_total stats"] == 3
    assert (found["kannon_smtp_mails in_flight"], found["kannon_smtp_mails waiting"]) == (2, 4)
    assert found["kannon_smtp_connections"] == 4
    assert (found["kannon_smtp_destinations up"], found["kannon_smtp_destinations down"]) == (1, 1)
    assert (found["kannon_readings_waiting"], found["kannon_readings_lost_total"]) == (7, 1)
    assert (found["kannon_up postgres"], found["kannon_up nats"]) == (1, 1)
    assert found["kannon_inbound_open_sessions"] == 3
    assert found["kannon_certificate_expiry_seconds api.tls_cert"] == pytest.approx(30 * 86400, abs=60)
    assert found["kannon_backup_age_seconds"] == pytest.approx(7200, abs=60)
    assert found["kannon_disk_free_bytes /var/lib/kannon"] == 30
    assert found["kannon_disk_reserve_bytes /var/lib/kannon"] == 5
    assert found["kannon_postgres_connections background max"] == 10
    assert (
        found["kannon_postgres_connections background used"] + found["kannon_postgres_connections background idle"] >= 1
    )
    assert found["process_resident_memory_bytes"] > 1 << 20


async def test_what_components_count(registry: CollectorRegistry, metrics: Metrics, sources: Sources) -> None:
    metrics.accepted(5, ["duplicate", "suppressed", "suppressed"])
    metrics.validated([0.2, 0.3])
    metrics.built(10, 1, 0.05)
    metrics.dispatched([0.02])
    metrics.tried(0.4)
    metrics.delivered(1.5)
    gmail = event(EventType.DELIVERED, host="gmail-smtp-in.l.google.com", code=250)
    metrics.recorded([gmail] * 101)
    metrics.recorded([event(EventType.ERROR, code=451, host="mx.small.example"), event(EventType.ERROR)])
    metrics.recorded([event(EventType.BOUNCED, code=550, host="192.0.2.1")])
    metrics.gave_up([event(EventType.FAILED)])
    metrics.reported("complaint")
    metrics.stored([gmail, event(EventType.OPENED)], {("example.com", EventType.OPENED): 1}, [0.1, 0.1])
    metrics.called("Mailer.SendHTML", "OK", 0.002)
    metrics.called("Mailer.SendHTML", "UNAUTHENTICATED", 0.001)
    metrics.answered(307)
    metrics.session_ended(SessionResult.STORED)
    metrics.suppressed([Suppression("example.com", "a@x.org", Cause.COMPLAINED, NOW)])
    found = await read(registry, sources)
    assert (found["kannon_recipients_total accepted"], found["kannon_recipients_total suppressed"]) == (5, 2)
    assert found["kannon_recipients_total invalid_email"] == 0
    verdicts = {k.removeprefix("kannon_verdicts_total "): v for k, v in found.items() if "kannon_verdicts" in k}
    assert verdicts == {
        "2xx other delivered": 100,
        "2xx google.com delivered": 1,
        "4xx other deferred": 1,
        "none other deferred": 1,
        "5xx other refused": 1,
    }
    assert found["kannon_stage_seconds_count validate"] == 2
    assert found["kannon_stage_seconds_sum deliver"] == 1.5
    assert (found["kannon_work_seconds_count build"], found["kannon_work_seconds_sum send"]) == (10, 0.4)
    assert found["kannon_work_seconds_sum build"] == pytest.approx(0.05)
    assert (found["kannon_built_total"], found["kannon_build_failures_total"]) == (10, 1)
    assert found["kannon_api_call_seconds_count Mailer.SendHTML OK"] == 1
    assert found["kannon_api_call_seconds_count Mailer.SendHTML UNAUTHENTICATED"] == 1
    assert (found["kannon_bump_answers_total 307"], found["kannon_bump_answers_total 404"]) == (1, 0)
    assert (found["kannon_inbound_sessions_total stored"], found["kannon_inbound_sessions_total idle"]) == (1, 0)
    assert (found["kannon_events_total opened"], found["kannon_events_known_total"]) == (1, 1)
    assert (found["kannon_gave_up_total failed"], found["kannon_gave_up_total bounced"]) == (1, 0)
    assert (found["kannon_reports_total complaint"], found["kannon_suppressed_total complained"]) == (1, 1)


async def test_each_domain_has_its_outcomes_up_to_a_number_of_domains(
    registry: CollectorRegistry, metrics: Metrics, sources: Sources
) -> None:
    """The first 25 domains have a label at once, 25 more from a hundred outcomes on; a repeat does not count."""
    gmail = event(EventType.DELIVERED, host="gmail-smtp-in.l.google.com", code=250)
    for number in range(1000):
        domain = f"d{number}.example"
        count = 101 if number < 500 else 1
        metrics.stored([gmail] * count, {(domain, EventType.DELIVERED): count}, [])
    fresh = {("d0.example", EventType.BOUNCED): 2, ("d0.example", EventType.OPENED): 9}
    metrics.stored([gmail] * 11, fresh, [])
    found = await read(registry, sources)
    outcomes = {k.removeprefix("kannon_outcomes_total "): v for k, v in found.items() if "kannon_outcomes" in k}
    assert len({name.split()[0] for name in outcomes}) == 51
    assert (outcomes["d0.example delivered"], outcomes["d0.example bounced"]) == (101, 2)
    assert outcomes["d49.example delivered"] == 101
    assert outcomes["other delivered"] == 450 * 101 + 500
    assert (outcomes["d0.example complained"], outcomes["d0.example failed"]) == (0, 0)
    assert "d0.example opened" not in outcomes


async def test_a_data_directory_without_a_backup_has_an_infinite_age(
    registry: CollectorRegistry, sources: Sources
) -> None:
    found = await read(registry, replace(sources, host=Host(last_backup=lambda: None)))
    assert found["kannon_backup_age_seconds"] == math.inf
    assert not [name for name in found if "certificate" in name or "disk" in name]


async def test_what_is_away_is_left_out_and_said(registry: CollectorRegistry, sources: Sources, bus: Bus) -> None:
    away = await open_database("postgres://nobody@127.0.0.1:9/none")
    found = await read(registry, replace(sources, db=away))
    assert (found["kannon_up postgres"], found["kannon_up nats"]) == (0, 1)
    assert not [name for name in found if name.startswith("kannon_deliveries")]
    assert found["kannon_component_ready api"] == 1
    await away.close()
    await bus.close()
    found = await read(registry, replace(sources, db=None))
    assert found["kannon_up nats"] == 0
    assert "kannon_up postgres" not in found


async def test_readers_who_come_together_ask_once(registry: CollectorRegistry, sources: Sources, bus: Bus) -> None:
    asked = 0

    def count() -> Sequence[State]:
        nonlocal asked
        asked += 1
        return states()

    metrics = MetricsServer(Reading(registry, Gauges(replace(sources, states=count))), listen="127.0.0.1:0")
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(metrics.text)
    assert asked == 1


async def test_only_metrics_and_only_to_be_read(registry: CollectorRegistry, sources: Sources) -> None:
    async with serving(MetricsServer(Reading(registry, Gauges(sources)), listen="127.0.0.1:0")) as port:
        assert (await request(port, "/")).status == 404
        refused = await request(port, "/metrics", method="POST")
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
        head = await request(port, "/metrics", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) > 1000


async def test_an_address_that_is_taken(registry: CollectorRegistry, sources: Sources) -> None:
    async with serving(MetricsServer(Reading(registry, Gauges(sources)), listen="127.0.0.1:0")) as port:
        listen = f"127.0.0.1:{port}"
        chosen = MetricsServer(Reading(registry, Gauges(sources)), listen=listen)
        with pytest.raises(AddressInUse, match=rf"^metrics\.listen: {listen}: Address already in use$"):
            await chosen.run(anyio.Event())
        stop = anyio.Event()
        default = MetricsServer(Reading(registry, Gauges(sources)), listen=listen, chosen=False)
        async with anyio.create_task_group() as group:
            await group.start(default.run, stop)
            assert default.addresses == []
            stop.set()


async def test_every_name_is_documented_with_its_type_and_labels_and_no_other_is(
    registry: CollectorRegistry, metrics: Metrics, sources: Sources
) -> None:
    metrics.recorded([event(EventType.DELIVERED, host="mx.example.org", code=250)])
    metrics.called("Mailer.SendHTML", "OK", 0.002)
    metrics.stored([event(EventType.DELIVERED)], {("example.com", EventType.DELIVERED): 1}, [])
    server = MetricsServer(Reading(registry, Gauges(sources)), listen="127.0.0.1:0")
    families = list(text_string_to_metric_families((await server.text()).decode()))
    served = set()
    for family in families:
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        assert family.samples, family.name
        name = family.name + ("_total" if family.type == "counter" else "")
        served.add((name, family.type, ", ".join(f"`{label}`" for label in sorted(labels))))
    named = {spec.name for spec in vars(names).values() if isinstance(spec, Spec)}
    assert {family.name for family in families if not family.name.startswith("process_")} == named
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \|", DOCUMENT.read_text(), re.M)
    documented = {
        (name, kind, ", ".join(sorted(filter(None, labels.strip().split(", "))))) for name, kind, labels in rows
    }
    assert documented == served
