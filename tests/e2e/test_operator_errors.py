"""Operator errors: one clear line and the right exit code. Kannon waits for absent dependencies."""

import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kannon.db.migrate import migrate
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub, HZServiceStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import GetDomainsReq, HZRequest
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.kannon_process import Kannon, free_port
from tests.support.patience import PATIENCE_SECONDS, patience


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def fails(kannon: Kannon, code: int, *words: str) -> None:
    """Kannon ends with `code` and one line that contains all of `words`."""
    try:
        assert await kannon.start().ended() == code
    finally:
        kannon.kill()
    lines = [line for line in kannon.text().splitlines() if line.startswith("kannon: ")]
    assert len(lines) == 1, kannon.text()
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in kannon.text()


async def test_a_wrong_configuration_ends_with_78(data_dir: Path) -> None:
    await fails(Kannon(data_dir, {"KANNON_API__LISTEN": "nowhere"}, fresh=True), 78, "api.listen")
    await fails(Kannon(data_dir, arguments=["--only", "sendr"]), 78, "--only", "sendr", "sender")
    await fails(Kannon(data_dir, arguments=["--only", ","]), 78, "--only")
    await fails(Kannon(data_dir, {"KANNON_COMPONENTS__ENABLED": "[]"}, fresh=True), 78, "components.enabled")
    await fails(Kannon(data_dir, arguments=["--config", str(data_dir / "none.toml")]), 78, "none.toml", "No such file")
    assert not data_dir.exists()


@pytest.mark.parametrize("name", ["api", "bump", "smtp", "metrics"])
async def test_a_port_in_use_is_named(data_dir: Path, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        await fails(Kannon(data_dir, {f"KANNON_{name.upper()}__LISTEN": address}), 1, address)


async def test_an_unusable_data_dir_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    await fails(Kannon(tmp_path / "a", {"KANNON_DATA_DIR": str(file / "data")}), 1, "data_dir", "file")
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "VERSION").write_text("99\n")
    await fails(Kannon(newer), 1, "newer Kannon")


async def test_a_second_instance_is_refused_and_the_first_goes_on(data_dir: Path) -> None:
    first, second = Kannon(data_dir), Kannon(data_dir)
    second._starts = 1
    try:
        await first.start().ready()
        await fails(second, 1, "in use")
        client = first.client()
        await client.add_domain("example.com")
        client.close()
        assert await first.stop() == 0
    finally:
        first.kill()


async def test_wrong_credentials_and_unknown_domains_are_refused(data_dir: Path) -> None:
    kannon = Kannon(data_dir)
    try:
        await kannon.start().ready()
        client = kannon.client()
        client.token = "wrong"
        with pytest.raises(GRPCError) as refused:
            await client.add_domain("example.com")
        assert (refused.value.status, refused.value.message) == (Status.UNAUTHENTICATED, "invalid admin token")
        client.credentials["example.com"] = "Basic ZXhhbXBsZS5jb206eA=="
        request = SendHTMLReq(
            sender=Sender(email="a@example.com"), subject="x", html="x", recipients=[Recipient(email="b@x.org")]
        )
        with pytest.raises(GRPCError) as unknown:
            await client.send(request)
        assert (unknown.value.status, unknown.value.message) == (Status.UNAUTHENTICATED, "invalid or wrong auth")
        client.close()
    finally:
        kannon.kill()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[DataDir]:
    """A folder for an external PostgreSQL or NATS."""
    with DataDir.open(tmp_path / "outside") as data_dir:
        yield data_dir


async def lacking(channel: Channel) -> set[str]:
    return set((await HZServiceStub(channel).HZ(HZRequest(), timeout=PATIENCE_SECONDS)).result)


async def until_lacking(channel: Channel, names: set[str]) -> None:
    """Waits until HZ names at least these; for the empty set, until HZ names none."""
    with patience():
        while True:
            found = await lacking(channel)
            if names <= found and bool(names) == bool(found):
                return
            await anyio.sleep(0.05)


async def test_serve_waits_for_external_servers_that_are_away(data_dir: Path, outside: DataDir) -> None:
    """PostgreSQL starts after Kannon; NATS stops and starts again; then the API accepts mail again."""
    postgres, nats = EmbeddedPostgres(outside.path, durable=False), EmbeddedNats(outside.path)
    await nats.start()
    port = free_port()
    extra = {
        "KANNON_POSTGRES__URL": postgres.url,
        "KANNON_NATS__URL": nats.url,
        "KANNON_API__LISTEN": f"127.0.0.1:{port}",
        "KANNON_API__ADMIN_TOKEN": "secret",
    }
    kannon = Kannon(data_dir, extra, arguments=["--migrate"])
    channel = Channel("127.0.0.1", port)
    admin = {"x-kannon-admin-token": "secret"}
    try:
        kannon.start()
        await listening(port)
        await until_lacking(channel, {"postgres"})
        with pytest.raises(GRPCError) as refused:
            await ApiStub(channel).GetDomains(GetDomainsReq(), metadata=admin, timeout=PATIENCE_SECONDS)
        assert refused.value.status == Status.UNAVAILABLE
        assert kannon.process is not None
        assert kannon.process.poll() is None

        await postgres.start()
        with patience():
            await kannon.ready()
        await until_lacking(channel, set())

        await nats.stop()
        await until_lacking(channel, {"nats"})
        assert list((await ApiStub(channel).GetDomains(GetDomainsReq(), metadata=admin)).domains) == []
        await nats.start()
        await until_lacking(channel, set())

        await postgres.stop()
        await until_lacking(channel, {"postgres"})
        await postgres.start()
        await until_lacking(channel, set())
        assert await kannon.stop() == 0
        assert "Traceback" not in kannon.text()
    finally:
        channel.close()
        kannon.kill()
        await postgres.stop()
        await nats.stop()
        nats.close()


async def listening(port: int) -> None:
    with patience():
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            await anyio.sleep(0.02)


async def test_an_external_database_is_migrated_only_when_asked(
    data_dir: Path, empty_postgres_url: str, nats_url: str
) -> None:
    extra = {"KANNON_POSTGRES__URL": empty_postgres_url, "KANNON_NATS__URL": nats_url}
    await fails(Kannon(data_dir, extra), 1, "behind", "kannon migrate")
    assert await migrate(empty_postgres_url)
    kannon = Kannon(data_dir, extra)
    try:
        await kannon.start().ready()
        assert "PostgreSQL external; NATS external" in kannon.text()
        assert not (data_dir / "postgres").exists()
        assert not (data_dir / "nats").exists()
        assert await kannon.stop() == 0
    finally:
        kannon.kill()


async def test_components_in_two_processes_share_the_work(tmp_path: Path, postgres_url: str, nats_url: str) -> None:
    """`--only` splits the components; the sender's process needs no PostgreSQL."""
    extra = {
        "KANNON_POSTGRES__URL": postgres_url,
        "KANNON_NATS__URL": nats_url,
        "KANNON_SENDER__MODE": "direct",
        "KANNON_DNS__NAMESERVERS": f'["127.0.0.1:{free_port()}"]',
        "KANNON_SENDER__TIMEOUT_SCALE": "0.01",
    }
    front = Kannon(tmp_path / "front", extra, arguments=["--only", "api,validator,dispatcher,stats"])
    without_postgres = {k: v for k, v in extra.items() if k != "KANNON_POSTGRES__URL"}
    back = Kannon(tmp_path / "back", without_postgres, arguments=["--only", "sender"])
    try:
        await front.start().ready()
        await back.start().ready()
        assert not (tmp_path / "back" / "postgres").exists()
        client = front.client()
        await client.add_domain("example.com")
        await client.send(
            SendHTMLReq(
                sender=Sender(email="a@example.com"), subject="x", html="x", recipients=[Recipient(email="b@x.org")]
            )
        )
        with patience():
            while [e.type for e in await client.events("example.com")] != ["accepted", "error"]:
                await anyio.sleep(0.05)
        client.close()
        assert await back.stop() == 0
        assert await front.stop() == 0
    finally:
        front.kill()
        back.kill()
