"""`kannon serve` in sandbox mode: mails in the folder, links that work, and the simulator's addresses."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import pytest

from tests.e2e.test_end_to_end import DOMAIN, counted, get, request
from tests.support.command import Command
from tests.support.kannon_process import Kannon, free_port

SETTINGS = {"KANNON_SENDER__MODE": "sandbox", "KANNON_RETRY__FIRST": "1s"}


@pytest.fixture
async def kannon(tmp_path: Path) -> AsyncIterator[Kannon]:
    ports = {name: f"127.0.0.1:{free_port()}" for name in ("KANNON_BUMP__LISTEN", "KANNON_SMTP__LISTEN")}
    extra = {**SETTINGS, **ports}
    kannon = Kannon(tmp_path / "data", extra).start()
    try:
        yield await kannon.ready()
    finally:
        kannon.kill()


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path, {"KANNON_DATA_DIR": str(tmp_path / "data")})


async def test_a_sandboxed_mail_is_awaited_and_its_link_counts_a_click(kannon: Kannon, command: Command) -> None:
    client = kannon.client()
    await client.add_domain(DOMAIN)
    await client.send(request(["ann@inbox.test"]))
    found = await command("sandbox", "wait", "ann@inbox.test", "--subject", "hello ann", "--timeout", "2m", "--json")
    assert (found.code, found.err) == (0, "")
    pixel = re.search(r'src="([^"]*/o/[^"]*)"', found.json["html"])
    link = re.search(r'href="([^"]*/c/[^"]*)"', found.json["html"])
    assert pixel is not None
    assert link is not None
    assert await anyio.to_thread.run_sync(get, link[1]) == (307, "https://shop.example/?a=1&b=ann")
    assert await anyio.to_thread.run_sync(get, pixel[1]) == (200, None)
    await counted(client, {"delivered": 1, "opened": 1, "clicked": 1})
    [[mail_id, *_]] = (await command("sandbox", "list")).rows
    assert mail_id == found.json["id"]
    assert (await command("sandbox", "clear")).out == "1 mails deleted\n"


async def test_the_simulator_does_the_same_for_every_send(kannon: Kannon) -> None:
    client = kannon.client()
    await client.add_domain(DOMAIN)
    names = ["bounce+1", "bounce-5.2.2", "complaint", "delay", "suppressed"]
    for sends in (1, 2):
        answer = await client.send(request([f"{name}@simulator.kannon" for name in names]))
        assert [(r.email, r.reason) for r in answer.rejected_recipients] == [
            ("suppressed@simulator.kannon", "suppressed")
        ]
        await counted(client, {"bounced": 2 * sends, "complained": sends, "error": sends, "delivered": 2 * sends})
