"""The examples of docs/api.md run unchanged."""

import base64
import os
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

from kannon.bus.bus import Bus
from kannon.cli import app
from kannon.db.pool import Database
from tests.support.api import TOKEN, RunningApi, a_send, running_api
from tests.support.endpoint import endpoint
from tests.support.services import SERVICES
from tests.support.webhooks import add_endpoint, make, running

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "api.md").read_text()
ROWS = dict(re.findall(r"^\| ([A-Za-z0-9]+) \| `(.*)` \|$", TEXT, re.M))
HTTPX, PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
FETCH, JAVASCRIPT = re.findall(r"^```js\n(.*?)^```", TEXT, re.M | re.S)
METHODS = [method.name for service in SERVICES for method in service.methods]

# This server refuses these: no record is published, no mail has the Message-ID, the domain exists, the template is in
# use, the key signs, no address is suppressed, and there are no dead letters.
REFUSED = {
    "CheckRecords",
    "FindByMessageId",
    "CreateDomain",
    "DeleteTemplate",
    "DeleteDkimKey",
    "GetSuppression",
    "RetryParked",
    "DeleteParked",
}


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        yield api


def test_every_call_has_a_command() -> None:
    assert sorted(ROWS) == sorted(METHODS)


async def test_every_command_runs(api: RunningApi, db: Database, bus: Bus, tmp_path: Path) -> None:
    """The server may refuse a call; the command itself must be valid."""
    await api.create_domain("example.com")
    sent = await api.mailer.SendHTML(a_send(), metadata=await api.create_key("example.com"))
    (tmp_path / "hello.html").write_text("<p>Hello {{ name }}</p>")
    (tmp_path / "list.csv").write_text("email,name\nbob@example.net,Bob\n")
    (tmp_path / "hello.txt").write_text("Hello {{ name }}")
    (tmp_path / "hello.eml").write_text("From: news@example.com\nTo: bob@example.net\nSubject: Hello\n\nHello\n")
    async with db.acquire() as connection:
        key_id = await connection.fetchval("SELECT id FROM api_keys")
    names = {
        "hello.html": str(tmp_path / "hello.html"),
        "hello.txt": str(tmp_path / "hello.txt"),
        "hello.eml": str(tmp_path / "hello.eml"),
        "list.csv": str(tmp_path / "list.csv"),
        "MESSAGE_ID": sent.message_id,
        "TEMPLATE_ID": sent.template_id,
        "KEY_ID": key_id,
        "DELIVERY_ID": "1",
        "SELECTOR": "kannon",
        "SEQUENCE": "1",
    }
    env = {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN}
    said = {}
    async with endpoint() as at, running(make(db, bus)):
        names["ENDPOINT_ID"] = (await add_endpoint(db, at.url)).id
        for call, command in ROWS.items():
            program, *arguments = shlex.split(command)
            if program == "kannon":
                words = [names.get(word, word) for word in arguments if word not in ("--watch", "--follow")]
                result = await anyio.to_thread.run_sync(partial(CliRunner().invoke, app, words, env=env))
                assert isinstance(result.exception, SystemExit | None), call
                said[call] = (result.exit_code, result.output)
    assert {call: answer for call, answer in said.items() if answer[0] != (1 if call in REFUSED else 0)} == {}


async def test_the_python_example_runs(api: RunningApi, tmp_path: Path) -> None:
    program = tmp_path / "calls.py"
    program.write_text(PYTHON)
    env = os.environ | {"PYTHONPATH": str(ROOT), "KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN}
    done = await anyio.run_process([sys.executable, "-W", "error", str(program)], env=env, check=False)
    assert done.returncode == 0, done.stderr.decode()
    called = set(re.findall(r"\.([A-Z][A-Za-z]+)\($", re.sub(r"\((?=[^\n])", "(\n", PYTHON), re.M))
    called |= set(re.findall(r"\.([A-Z][A-Za-z]+)\.open\(", PYTHON))
    assert set(METHODS) <= called | {"DeleteParked", "RetryParked"}


async def test_the_javascript_example_runs(api: RunningApi, db: Database, tmp_path: Path) -> None:
    modules = ROOT / "tests" / "interop" / "node_modules"
    node = shutil.which("node")
    if not (node and modules.is_dir()) and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip("kannon.js is not installed")
    assert node
    await api.create_domain("example.com")
    key = (await api.create_key("example.com"))["authorization"]
    secret = base64.b64decode(key.removeprefix("Basic ")).decode().partition(":")[2]
    program = tmp_path / "send.js"
    program.write_text(JAVASCRIPT)
    env = os.environ | {"NODE_PATH": str(modules), "KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_KEY": secret}
    await anyio.run_process([node, str(program)], env=env)
    async with db.acquire() as connection:
        subjects = await connection.fetch("SELECT subject FROM messages ORDER BY created_at")
    assert [row["subject"] for row in subjects] == ["Hello {{ name }}", "Hello again"]


@pytest.mark.parametrize(("program", "text"), [(sys.executable, HTTPX), ("node", FETCH)], ids=["httpx", "fetch"])
async def test_the_examples_over_http_run(
    api: RunningApi, db: Database, tmp_path: Path, program: str, text: str
) -> None:
    if shutil.which(program) is None and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip(f"{program} is not installed")
    await api.create_domain("example.com")
    key = (await api.create_key("example.com"))["authorization"]
    secret = base64.b64decode(key.removeprefix("Basic ")).decode().partition(":")[2]
    (tmp_path / "example").write_text(text)
    env = os.environ | {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_KEY": secret}
    done = await anyio.run_process([program, str(tmp_path / "example")], env=env)
    async with db.acquire() as connection:
        message_id = await connection.fetchval("SELECT message_id FROM messages")
    assert done.stdout.decode().split()[0] == message_id
