"""/metrics of a real server: the counts of a mail, the states of components, and a default address in use."""

import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.packaging.test_prometheus import FOLDER, dashboard_expressions, metrics_in
from tests.support.http import request
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Kannon
from tests.support.patience import patience

DOMAIN = "example.com"


@pytest.fixture
async def box() -> AsyncIterator[Inbox]:
    async with inbox(lambda address: "550 5.1.1 No" if address.startswith("dead") else "250 2.1.5 OK") as box:
        yield box


@pytest.fixture
def kannon(tmp_path: Path, box: Inbox) -> Iterator[Kannon]:
    routes = [{"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}]
    kannon = Kannon(tmp_path / "data", {"KANNON_SENDER__ROUTES": json.dumps(routes)})
    yield kannon
    kannon.kill()


async def read(kannon: Kannon) -> dict[str, float]:
    answer = await request(kannon.ports["metrics"], "/metrics")
    assert answer.status == 200
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_three_mails_are_counted(kannon: Kannon) -> None:
    await kannon.start().ready()
    client = kannon.client()
    await client.add_domain(DOMAIN)
    recipients = [Recipient(email=e) for e in ("a@x.test", "b@x.test", "dead@x.test", "a@x.test", "no address")]
    await client.send(SendHTMLReq(sender=Sender(email=f"n@{DOMAIN}"), subject="x", html="x", recipients=recipients))
    await client.outcomes(DOMAIN, 4)
    client.close()
    with patience():
        while (found := await read(kannon))["kannon_events_total accepted"] < 3 or found["kannon_deliveries sending"]:
            await anyio.sleep(0.1)
    expected = {
        "kannon_recipients_total accepted": 4,
        "kannon_recipients_total duplicate": 1,
        "kannon_stage_seconds_count validate": 4,
        "kannon_built_total": 3,
        "kannon_work_seconds_count build": 3,
        "kannon_stage_seconds_count dispatch": 3,
        "kannon_work_seconds_count send": 3,
        "kannon_stage_seconds_count deliver": 2,
        "kannon_verdicts_total 2xx other delivered": 2,
        "kannon_verdicts_total 5xx other refused": 1,
        "kannon_events_total delivered": 2,
        "kannon_events_total bounced": 1,
        "kannon_suppressed_total bounced": 1,
        "kannon_suppressions": 1,
        "kannon_parked_messages": 0,
        "kannon_up postgres": 1,
        "kannon_up nats": 1,
    }
    assert {name: found[name] for name in expected} == expected
    components = {name.split()[1]: value for name, value in found.items() if name.startswith("kannon_component_ready")}
    assert {"api", "validator", "dispatcher", "sender", "smtp", "bump", "stats", "postgres", "nats"} <= set(components)
    assert set(components.values()) == {1}
    assert found["kannon_component_restarts_total sender"] == 0
    names = {name.split()[0] for name in found}
    used = metrics_in((FOLDER / "kannon.rules.yml").read_text()).union(*map(metrics_in, dashboard_expressions()))
    # Absent here: the server has no certificate, and no component counted what these count.
    assert used - names == {"kannon_certificate_expiry_seconds"}
    # An open connection of a scraper does not delay the stop.
    async with await anyio.connect_tcp("127.0.0.1", kannon.ports["metrics"]) as stream:
        await stream.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 200")
        start = time.monotonic()
        assert await kannon.stop() == 0
        assert time.monotonic() - start < 8


async def test_kannon_serves_although_the_default_address_is_in_use(tmp_path: Path) -> None:
    """Two Kannon processes on one machine, or Prometheus itself, which uses the same port by default."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # another process has the port, with the same effect
            taken.bind(("127.0.0.1", 9090))
            taken.listen()
        kannon = Kannon(tmp_path / "data", arguments=["--only", "bump"], unset=["KANNON_METRICS__LISTEN"])
        try:
            await kannon.start().ready()
            assert "metrics are not served" in kannon.text()
            assert "127.0.0.1:9090: Address already in use" in kannon.text()
            assert "metrics" not in kannon.ports
            assert await kannon.stop() == 0
        finally:
            kannon.kill()


async def test_metrics_can_be_switched_off(tmp_path: Path) -> None:
    kannon = Kannon(tmp_path / "data", {"KANNON_METRICS__LISTEN": ""}, arguments=["--only", "bump"])
    try:
        await kannon.start().ready()
        assert set(kannon.ports) == {"bump"}
        assert await kannon.stop() == 0
    finally:
        kannon.kill()
