"""The faults, each a function: it breaks something of the layout, waits, and lets it go on.

In: the layout, a source of randomness. Out: nothing; when the function returns the fault has ended and Kannon has to
recover by itself. A fault that a layout cannot have is not in its list.
"""

import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

import anyio

from tests.support.nats_cluster import SIZE
from tests.support.patience import patience
from tests.torture.layouts import Layout, wake

Run = Callable[[Layout, Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`name` is a key of bounds.BOUNDS. `possible`: where the machine permits it."""

    name: str
    run: Run
    possible: Callable[[Layout], bool] = lambda layout: True


def kill(*names: str) -> Run:
    """kill -9 of one of these, and a start after up to three seconds."""

    async def run(layout: Layout, random: Random) -> None:
        name = random.choice(names)
        await layout.kill(name)
        await anyio.sleep(random.choice((0.0, 0.5, 3.0)))
        layout.start(name)

    return run


def stop(*names: str, seconds: Sequence[float] = (0.3, 2.0, 4.0, 8.0)) -> Run:
    """SIGSTOP to one of these, and SIGCONT after a while."""

    async def run(layout: Layout, random: Random) -> None:
        stopped = layout.stop(random.choice(names))
        try:
            await anyio.sleep(random.choice(seconds))
        finally:
            wake(stopped)

    return run


def kill_child(name: str) -> Run:
    """kill -9 of a child that Kannon itself starts again."""

    async def run(layout: Layout, _: Random) -> None:
        layout.signal(name, signal.SIGKILL)

    return run


async def calm(layout: Layout, random: Random) -> None:
    """No fault: the mail before it is a burst, or comes after a rest."""


async def restart(layout: Layout, random: Random) -> None:
    """SIGTERM: open mail is finished, nothing goes out twice."""
    server = layout.servers["kannon"]
    assert await server.stop() == 0, server.text()
    layout.start("kannon")


async def lose_store(layout: Layout, _: Random) -> None:
    """The JetStream directory of the embedded server is deleted."""
    assert layout.disk is not None
    shutil.rmtree(layout.disk.place / "nats" / "jetstream")
    layout.signal("nats", signal.SIGKILL)


async def fill_disk(layout: Layout, random: Random) -> None:
    assert layout.disk is not None
    layout.disk.fill()
    try:
        await anyio.sleep(random.choice((1.0, 3.0, 6.0)))
    finally:
        layout.disk.free()


async def cut_power(layout: Layout, random: Random) -> None:
    """The disk first, as all at once, then the processes."""
    assert layout.disk is not None
    layout.disk.cut()
    await layout.kill("kannon")
    layout.disk.restore()
    layout.start("kannon")


def jump(*seconds: int) -> Run:
    """The wall clock jumps, and after a few seconds it jumps back."""

    async def run(layout: Layout, random: Random) -> None:
        await layout.clock.shift(layout.database_url, random.choice(seconds))
        try:
            await anyio.sleep(random.choice((1.0, 4.0)))
        finally:
            await layout.clock.shift(layout.database_url, 0)

    return run


async def kill_leader(layout: Layout, random: Random) -> None:
    """The leader of one of the streams; it returns after a few seconds."""
    assert layout.cluster is not None
    number = await layout.cluster.leader_of(random.choice(("kannon_sending", "kannon_stats")))
    layout.cluster.kill(number)
    await anyio.sleep(random.choice((2.0, 6.0)))
    layout.cluster.start(number)


async def stop_leader(layout: Layout, random: Random) -> None:
    assert layout.cluster is not None
    number = await layout.cluster.leader_of(random.choice(("kannon_sending", "kannon_stats")))
    layout.cluster.signal(number, signal.SIGSTOP)
    try:
        await anyio.sleep(random.choice((1.0, 4.0, 8.0)))
    finally:
        layout.cluster.signal(number, signal.SIGCONT)


async def lose_cluster_store(layout: Layout, _: Random) -> None:
    """All three servers lose what they have stored."""
    assert layout.cluster is not None
    layout.cluster.kill_all()
    for number in range(SIZE):
        layout.cluster.forget(number)
        layout.cluster.start(number)
    await layout.cluster.ready()


async def restart_postgres(layout: Layout, _: Random) -> None:
    """An immediate shutdown, which leaves the database to its recovery."""
    assert layout.postgres is not None
    assert layout.postgres_home is not None
    pid = int((layout.postgres_home / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    await layout.postgres.wait()
    with patience():
        await layout.postgres.start()


def _has_clock(layout: Layout) -> bool:
    return layout.clock.available


def _can_fill(layout: Layout) -> bool:
    return layout.disk is not None and layout.disk.can_fill


def _can_cut(layout: Layout) -> bool:
    return layout.disk is not None and layout.disk.can_cut


DAY = 24 * 3600
EVERYWHERE = (
    Fault("burst", calm),
    Fault("rest", calm),
    Fault("clock-ahead", jump(90, 3600, 2 * DAY), _has_clock),
    Fault("clock-back", jump(-90, -3600), _has_clock),
)
FAULTS: dict[str, tuple[Fault, ...]] = {
    "single": (
        *EVERYWHERE,
        Fault("restart", restart),
        Fault("kill-kannon", kill("kannon")),
        Fault("stop-kannon", stop("kannon")),
        Fault("kill-worker", kill_child("worker")),
        Fault("kill-postgres", kill_child("postgres")),
        Fault("stop-postgres", stop("postgres")),
        Fault("kill-nats", kill_child("nats")),
        Fault("stop-nats", stop("nats")),
        Fault("store-loss", lose_store),
        Fault("full-disk", fill_disk, _can_fill),
        Fault("power-cut", cut_power, _can_cut),
    ),
    "cluster": (
        *EVERYWHERE,
        Fault("kill-api", kill("api")),
        Fault("kill-validator", kill("validator")),
        Fault("kill-stats", kill("stats")),
        Fault("kill-dispatcher", kill("dispatcher1", "dispatcher2")),
        Fault("kill-sender", kill("sender1", "sender2")),
        Fault("stop-api", stop("api")),
        Fault("stop-validator", stop("validator")),
        Fault("stop-stats", stop("stats")),
        Fault("stop-dispatcher", stop("dispatcher1", "dispatcher2")),
        Fault("stop-sender", stop("sender1", "sender2", seconds=(0.3, 4.0, 14.0))),  # beyond the ack wait, too
        Fault("nats-leader", kill_leader),
        Fault("nats-stop", stop_leader),
        Fault("nats-store", lose_cluster_store),
        Fault("postgres-restart", restart_postgres),
    ),
}
