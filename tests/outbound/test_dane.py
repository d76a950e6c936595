"""DANE against a signed DNS tree of real daemons: each cell of RFC 7672's table, and Postfix's own opinion of it."""

import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from kannon.config import Dns, Sender
from kannon.mail.verdict import Deferred, Delivered, Stage
from kannon.outbound import Deliverer
from tests.support.certificates import Authority, make_authority
from tests.support.dane_cells import Cell, make_cells
from tests.support.envelopes import an_envelope
from tests.support.interop import find_program
from tests.support.signed_dns import signed_dns
from tests.support.smtp_peer import Peer, free_port, serving


@dataclass(frozen=True)
class World:
    resolver: str
    port: int
    authority: Authority
    cells: list[Cell]

    def deliverer(self) -> Deliverer:
        sender = Sender(hostname="me.test", port=self.port, allow_private_mx=True, tls_ca_file=self.authority.pem)
        return Deliverer(sender, Dns(nameservers=[self.resolver]))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    authority = make_authority(tmp_path_factory.mktemp("ca"))
    port = free_port()
    cells = make_cells(authority, make_authority(tmp_path_factory.mktemp("other")), port)
    dane = [line for cell in cells for line in cell.dane]
    plain = [line for cell in cells for line in cell.plain]
    forged = [line for cell in cells for line in cell.forged]
    with signed_dns(dane, plain, forged, [each for cell in cells for each in cell.forge]) as resolver:
        yield World(resolver, port, authority, cells)


@pytest.fixture(scope="module")
async def peers(world: World) -> AsyncIterator[dict[str, Peer]]:
    """The MX hosts, by cell."""
    found = {cell.name: Peer(tls=_context(cell)) for cell in world.cells}
    async with AsyncExitStack() as stack:
        for cell in world.cells:
            await stack.enter_async_context(serving(found[cell.name], cell.address, world.port))
        yield found


def _context(cell: Cell) -> ssl.SSLContext | None:
    if cell.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cell.certificate)
    return context


async def test_every_cell_of_the_table(world: World, peers: dict[str, Peer]) -> None:
    """All of them over one sender, so that one destination's records do not count for another."""
    wrong = []
    async with world.deliverer() as deliverer:
        for cell in world.cells:
            verdict = await deliverer.deliver(an_envelope(f"b@{cell.domain}"))
            if isinstance(verdict, Delivered):
                outcome = verdict.tls.rpartition(" ")[2]
                as_expected = cell.delivered and outcome == cell.expected
            else:
                assert isinstance(verdict, Deferred), (cell.name, verdict)
                as_expected = not cell.delivered and verdict.reason.startswith(cell.expected)
                as_expected &= verdict.enhanced == cell.enhanced
                as_expected &= verdict.stage is (Stage.STARTTLS if cell.enhanced else Stage.DNS)
            if not as_expected or bool(peers[cell.name].mails) is not cell.delivered:
                wrong.append((cell.name, cell.expected, verdict))
    assert wrong == []
    assert len(world.cells) >= 40


@pytest.mark.long
async def test_postfix_agrees_in_every_cell(world: World, peers: dict[str, Peer], tmp_path: Path) -> None:
    """posttls-finger at the level `dane`, with the same resolver: it says how far it trusts a connection, if it makes
    one at all."""
    program = find_program("posttls-finger")
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {world.resolver}\noptions trust-ad edns0\n")
    script = f'mount --bind {resolv} /etc/resolv.conf; exec "$@"'
    wrong = []
    for cell in world.cells:
        # Postfix uses TLSA records of a host also where the MX record is insecure; RFC 7672 §2.2.1 leaves that open.
        options = ["-o", "inet_protocols=ipv4", "-o", "smtp_tls_dane_insecure_mx_policy=may"]
        finger = [program, *options, "-c", "-l", "dane", "-L", "summary", f"{cell.domain}:{world.port}"]
        done = await anyio.run_process(["unshare", "--mount", "sh", "-euc", script, "sh", *finger], check=False)
        said = (done.stdout + done.stderr).decode()
        trust = re.search(r"(\w+) TLS connection established", said)
        if (trust[1] if trust else "") != cell.finger:
            wrong.append((cell.name, cell.finger, said))
    assert wrong == []
