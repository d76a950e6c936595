"""Connect's own programs in Go against the API: its conformance suite, and its client in every variant."""

import json
import sys
from pathlib import Path

import anyio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from kannon.db.pool import Database
from kannon.pb.mailer.apiv1 import mailerapiv1_pb2
from tests.support.api import running_api
from tests.support.go import MODULE, ROOT, build, go

CONFORMANCE = "connectrpc.com/conformance"
VARIANTS = {
    "connect proto http/1.1",
    "connect json http/1.1",
    "connect gzip http/1.1",
    "grpc-web http/1.1",
    "connect h2c",
    "grpc-web h2c",
    "grpc",
    "grpc json",
    "grpc gzip",
}


@pytest.mark.long
async def test_the_conformance_suite_finds_nothing() -> None:
    runner = build(f"{CONFORMANCE}/cmd/connectconformance")
    protos = Path(go("list", "-m", "-f", "{{.Dir}}", CONFORMANCE).strip()) / "proto"
    server = [sys.executable, "-m", "tests.support.conformance_server", str(protos)]
    command = [str(runner), "--conf", str(MODULE.parent / "conformance.yaml"), "--mode", "server", "--max-servers", "2"]
    command += ["--known-failing", f"@{MODULE.parent}/conformance-known-failing.txt"]
    done = await anyio.run_process([*command, "--", *server], check=False, cwd=ROOT)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, said[-5000:]
    assert ", 0 failed" in said


def described(folder: Path) -> Path:
    """The protos of the Mailer, with what they import first."""
    files = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: object) -> None:
        for imported in file.dependencies:  # type: ignore[attr-defined]
            add(imported)
        if file.name not in seen:  # type: ignore[attr-defined]
            seen.add(file.name)  # type: ignore[attr-defined]
            file.CopyToProto(files.file.add())  # type: ignore[attr-defined]

    add(mailerapiv1_pb2.DESCRIPTOR)
    path = folder / "described"
    path.write_bytes(files.SerializeToString())
    return path


@pytest.mark.long
async def test_the_go_client_sends_and_reads_refusals_in_every_variant(db: Database, tmp_path: Path) -> None:
    client = build("./connectclient")
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = (await api.create_key("example.com"))["authorization"]
        url = f"http://{api.host}:{api.port}"
        done = await anyio.run_process([str(client), url, key, str(described(tmp_path))], check=False)
    assert done.returncode == 0, done.stderr.decode()
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["variant"] for each in results} == VARIANTS
    for each in results:
        assert each["sent"].startswith("msg_"), each
        assert each["stranger"] == "unauthenticated: invalid or wrong auth", each
        assert each["refused"] == "invalid_argument: subject: must not be empty", each
        assert each["fields"] == ["subject: must not be empty"], each
        assert each["late"] == "deadline_exceeded", each
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == len(VARIANTS)
