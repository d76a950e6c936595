"""The run: sink, server, the calls of one workload, and the readings during the run."""

import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.bench.processes import Usage, machine, usage
from tests.bench.shared_parts import per_mail, read_shared
from tests.bench.workloads import DOMAIN, WORKLOADS, Workload, request, send_all
from tests.support.kannon_process import Client, Kannon, free_port

LIMIT_SECONDS = 600.0
POLL_SECONDS = 0.1
PY_SPY = Path(sys.executable).parent / "py-spy"
_COUNTS_BYTES = 200  # several of smtp-sink's lines
STATES = "SELECT state, count(*) FROM sending_pool_emails GROUP BY state"
COUNTERS = "SELECT type, sum(count)::bigint FROM aggregated_stats GROUP BY type"


@dataclass(frozen=True)
class Settings:
    folder: Path
    mails: int
    workers: int
    profile: str
    workload: str = "batch"
    processes: int = 1


class Sink:
    """Postfix's smtp-sink with its own counters."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._out = folder / "sink.out"
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                ["smtp-sink", "-c", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"], stdout=out, stderr=out
            )

    def count(self) -> int:
        """Messages that the sink accepted, by its own count, which it prints after each."""
        with self._out.open("rb") as out:
            out.seek(max(0, out.seek(0, os.SEEK_END) - _COUNTS_BYTES))
            found = re.findall(rb"mesg=(\d+)\r", out.read())
        return int(found[-1]) if found else 0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def rsa_per_second() -> float:
    """openssl's RSA-2048 signatures per second on one core."""
    output = subprocess.run(
        ["openssl", "speed", "-seconds", "2", "rsa2048"], capture_output=True, text=True, check=True
    ).stdout
    return float(output.splitlines()[-1].split()[-2])


async def run(settings: Settings) -> dict[str, Any]:
    yardstick = rsa_per_second()
    sink = Sink(settings.folder)
    routes = [{"domain": "*", "host": "127.0.0.1", "port": sink.port, "tls": "none"}]
    kannon = Kannon(
        settings.folder / "data",
        {
            "KANNON_SENDER__ROUTES": json.dumps(routes),
            "KANNON_DISPATCHER__WORKERS": str(settings.workers),
            "KANNON_RUNNER__PROCESSES": str(settings.processes),
            "KANNON_LOG__LEVEL": "warning",
        },
    )
    started = time.monotonic()
    kannon.start()
    try:
        await kannon.ready()
        ready_seconds = time.monotonic() - started
        client = kannon.client()
        workload = WORKLOADS[settings.workload][0](settings.mails)
        await client.add_domain(DOMAIN)
        for domain in workload.domains:
            if domain != DOMAIN:
                await client.add_domain(domain)
        singles = [await _single(client, number) for number in range(20)]
        result = await _measure(settings, workload, kannon, client, sink)
        client.close()
        result |= {
            "workload": settings.workload,
            "processes": settings.processes,
            "load_average": round(os.getloadavg()[0], 1),
            "ready_seconds": round(ready_seconds, 2),
            "single_call_ms_p50": round(statistics.median(each.call for each in singles) * 1000, 1),
            "single_accept_to_250_ms_p50": round(statistics.median(each.delivery for each in singles) * 1000, 1),
            "single_mail_ms_p50": round(statistics.median(each.all for each in singles) * 1000, 1),
            "openssl_rsa2048_per_second": yardstick,
            "ratio_to_openssl": round(result["mails_per_second"] / yardstick, 3),
        }
        stopped = time.monotonic()
        result["exit_code"] = await kannon.stop()
        result["stop_seconds"] = round(time.monotonic() - stopped, 2)
        return result
    finally:
        kannon.kill()
        sink.stop()


@dataclass(frozen=True)
class Single:
    """Seconds of one mail on an idle server: of the call, from accepted to the MX's 250, and from the call to the 250,
    both by the events' own clock."""

    call: float
    delivery: float
    all: float


async def _single(client: Client, number: int) -> Single:
    send = request(1)
    send.recipients[0].email = f"single{number}@inbox.example"
    began = time.time()
    await client.send(send)
    call = time.time() - began
    while True:
        at = {
            event.type: event.timestamp.ToNanoseconds() / 1e9
            for event in await client.events(DOMAIN)
            if event.email == send.recipients[0].email
        }
        if at.keys() >= {"accepted", "delivered"}:
            return Single(call, at["delivered"] - at["accepted"], at["delivered"] - began)
        await asyncio.sleep(0.02)


async def _measure(
    settings: Settings, workload: Workload, kannon: Kannon, client: Client, sink: Sink
) -> dict[str, Any]:
    assert kannon.process is not None
    pid = kannon.process.pid
    mails = workload.mails
    database = await asyncpg.connect(kannon.postgres_url())
    counted = await _settled_counters(database)
    last = await database.fetchval("SELECT coalesce(max(delivery_id), 0) FROM stats")
    before, machine_before, shared_before = usage(pid), machine(), await read_shared(database)
    sunk_before = sink.count()
    profiler = (
        subprocess.Popen([PY_SPY, "record", "-r", "200", "-f", "raw", "-o", settings.profile, "-p", str(pid)])
        if settings.profile
        else None
    )
    began = time.monotonic()
    sending = asyncio.create_task(send_all(workload, client, "127.0.0.1", kannon.ports["api"]))
    stages = await _watch(database, mails, began, counted, sending)
    seconds = max(stages.values())
    if profiler is not None:
        profiler.send_signal(signal.SIGINT)
        profiler.wait()
    after, machine_after, elapsed = usage(pid), machine(), time.monotonic() - began
    await asyncio.sleep(0.5)  # smtp-sink prints its counters at the end of a session
    sunk = sink.count() - sunk_before
    times = await _accept_to_delivery(database, last)
    left = await database.fetchval("SELECT count(*) FROM sending_pool_emails")
    await asyncio.sleep(1.0)  # PostgreSQL's processes flush their counters
    shared = per_mail(shared_before, await read_shared(database), mails)
    counters = await _by_name(database, COUNTERS)
    await database.close()
    cpu = {name: round((after[name].cpu - before.get(name, Usage()).cpu) / mails * 1000, 3) for name in after}
    kannon_cores = sum(cpu.values()) * mails / 1000 / elapsed
    return {
        "mails": mails,
        "cores": os.cpu_count(),
        "cores_of_others": round((machine_after.used - machine_before.used) / elapsed - kannon_cores, 3),
        "cores_idle": round((machine_after.idle - machine_before.idle) / elapsed, 3),
        "mails_per_second": round(mails / seconds, 1),
        "seconds": round(seconds, 2),
        "stages_mails_per_second": {name: round(mails / value, 1) for name, value in stages.items()},
        "accept_to_delivery_seconds": {
            "p50": round(times[len(times) // 2], 3),
            "p99": round(times[len(times) * 99 // 100], 3),
        },
        "cpu_ms_per_mail": cpu,
        "cpu_ms_per_mail_in_all": round(sum(cpu.values()), 3),
        "postgres_per_mail": shared,
        "disk_bytes_per_mail": {
            name: round((after[name].written - before.get(name, Usage()).written) / mails) for name in after
        },
        "peak_rss_mib": {name: round(value.peak / (1 << 20)) for name, value in after.items()},
        "accepted": counters.get("accepted", 0) - counted.get("accepted", 0),
        "delivered": len(times),
        "sink": sunk,
        "pool": left,
        "counters": counters,
        "lost": not (len(times) == mails and sunk >= mails and left == 0),
    }


async def _settled_counters(database: "asyncpg.Connection[asyncpg.Record]") -> dict[str, int]:
    """When all earlier mails are counted."""
    while True:
        counters = await _by_name(database, COUNTERS)
        waiting = await database.fetchval("SELECT count(*) FROM sending_pool_emails")
        if not waiting and counters.get("accepted", 0) == counters.get("delivered", 0):
            return counters
        await asyncio.sleep(POLL_SECONDS)


async def _watch(
    database: "asyncpg.Connection[asyncpg.Record]",
    mails: int,
    began: float,
    counted: dict[str, int],
    sending: "asyncio.Task[None]",
) -> dict[str, float]:
    """Seconds until each stage has processed all mails; `counted` before them."""
    done: dict[str, float] = {}
    while len(done) < 6:
        await asyncio.sleep(POLL_SECONDS)
        if not sending.done():
            continue
        sending.result()
        done.setdefault("api", time.monotonic() - began)
        states = await _by_name(database, STATES)
        stored = await _by_name(database, COUNTERS)
        now = time.monotonic() - began
        assert now < LIMIT_SECONDS, (states, stored)
        waiting = sum(states.get(s, 0) for s in ("to_validate", "validating"))
        reached = {
            "validator": waiting == 0,
            "dispatcher": waiting + states.get("scheduled", 0) == 0,
            "settled": sum(states.values()) == 0,
            "accepted stored": stored.get("accepted", 0) >= mails + counted.get("accepted", 0),
            "delivered stored": stored.get("delivered", 0) >= mails + counted.get("delivered", 0),
        }
        for name, is_reached in reached.items():
            if is_reached and name not in done:
                done[name] = now
    return done


async def _by_name(database: "asyncpg.Connection[asyncpg.Record]", statement: str) -> dict[str, int]:
    return {str(name): int(count) for name, count in await database.fetch(statement)}


async def _accept_to_delivery(database: "asyncpg.Connection[asyncpg.Record]", last: int) -> list[float]:
    """Seconds from accepted to the MX's 250, sorted, one per delivered mail after the delivery `last`."""
    rows = await database.fetch(
        "SELECT extract(epoch FROM d.at - a.at)::float8 AS seconds FROM stats a JOIN stats d USING (delivery_id)"
        " WHERE a.delivery_id > $1 AND a.type = 'accepted' AND d.type = 'delivered' ORDER BY 1",
        last,
    )
    return [row["seconds"] for row in rows]
