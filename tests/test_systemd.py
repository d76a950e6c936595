"""sd_notify with a real datagram socket: the messages of a runner, and the variables of systemd."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from kannon.errors import Unavailable
from kannon.systemd import Systemd
from tests.support.runner import Scripted, fail, running, serve, serve_until, settle

ABSTRACT = f"@kannon-test-{os.getpid()}"


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address as systemd writes it into NOTIFY_SOCKET, and the receiving socket."""
    address = str(tmp_path / "notify") if request.param == "path" else ABSTRACT
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(address.replace("@", "\0"))
        end.setblocking(False)
        yield address, end


def received(end: socket.socket) -> list[list[str]]:
    datagrams = []
    while True:
        try:
            datagrams.append(end.recv(4096).decode().splitlines())
        except BlockingIOError:
            return datagrams


async def test_systemd_hears_of_each_state_of_a_service(systemd: tuple[str, socket.socket]) -> None:
    address, end = systemd
    lost = anyio.Event()
    broken = Scripted("stats", fail(Unavailable("PostgreSQL is\naway")), serve_until(lost, Unavailable("gone")), serve)
    async with running([broken], systemd=Systemd(address), stop_seconds=30) as stage:
        first = received(end)
        assert ["EXTEND_TIMEOUT_USEC=30000000"] in first
        assert first[-1] == ["STATUS=not ready: stats: PostgreSQL is away"]
        await stage.clock.advance(0.5)
        assert received(end)[-1] == ["READY=1", "STATUS=ready"]
        await stage.clock.advance(10)
        assert received(end) == []  # ready, and no watchdog was asked for
        lost.set()
        await settle()
        assert received(end) == [["STATUS=not ready: stats: gone"]]
        await stage.clock.advance(1)
        assert received(end)[-1] == ["STATUS=ready"]  # READY is sent once
        await stage.signal()
        assert received(end) == [["STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC=60000000"]]


async def test_the_start_timeout_is_extended_while_a_component_is_not_ready(
    systemd: tuple[str, socket.socket],
) -> None:
    address, end = systemd
    async with running([Scripted("stats", fail(Unavailable("away")))], systemd=Systemd(address)) as stage:
        received(end)
        for _ in range(5):
            await stage.clock.advance(10)
            assert ["EXTEND_TIMEOUT_USEC=30000000"] in received(end)


async def test_the_watchdog_is_notified_twice_in_its_interval(systemd: tuple[str, socket.socket]) -> None:
    address, end = systemd
    settings = Systemd.from_environ({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "6000000"})
    async with running([Scripted("api", serve)], systemd=settings) as stage:
        assert ["WATCHDOG=1"] in received(end)
        for _ in range(3):
            await stage.clock.advance(2.9)
            assert received(end) == []
            await stage.clock.advance(0.1)
            assert received(end) == [["WATCHDOG=1"]]


def test_a_watchdog_of_another_process_is_ignored() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "6000000"}
    assert Systemd.from_environ(environ | {"WATCHDOG_PID": str(os.getpid())}).watchdog_seconds == 6.0
    assert Systemd.from_environ(environ | {"WATCHDOG_PID": "1"}).watchdog_seconds is None


@pytest.mark.parametrize("usec", ["", "0", "-5", "soon", "٣"])
def test_an_invalid_watchdog_time_is_ignored(usec: str) -> None:
    assert Systemd.from_environ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": usec}).watchdog_seconds is None


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_nothing_is_sent_without_a_socket(environ: dict[str, str]) -> None:
    settings = Systemd.from_environ(environ)
    assert settings == Systemd(None, None)
    settings.notify(READY=1)


def test_a_missing_socket_is_ignored(tmp_path: Path) -> None:
    Systemd(str(tmp_path / "nobody listens")).notify(READY=1)
