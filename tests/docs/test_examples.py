"""The examples of docs/api.md run unchanged."""

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

from kannon.bus.bus import Bus
from kannon.cli import app
from kannon.db.pool import Database
from kannon.mail.event import Event, EventType
from kannon.pb.admin.v1.keys_grpc import KeysStub
from kannon.pb.admin.v1.keys_pb2 import CreateKeyRequest
from tests.support.api import ADMIN, TOKEN, RunningApi, a_send, running_api
from tests.support.endpoint import endpoint
from tests.support.services import SERVICES
from tests.support.webhooks import add_endpoint, make, running, store

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "api.md").read_text()
ROWS = dict(re.findall(r"^\| ([A-Za-z0-9]+) \| `(.*)` \|$", TEXT, re.M))
*_, PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
TASKS = TEXT.partition("\n## Task by task\n")[2].partition("\n## ")[0]
LABELLED = re.compile(r"^(curl|Python \(\w+\)|Node \([\w.]+\))[^\n]*\n(?:[^\n]+\n)*\n```\w+\n(.*?)^```$", re.M | re.S)
FORMS = ("curl", "Python (httpx)", "Python (grpclib)", "Node (fetch)")
[JAVASCRIPT] = [text for form, text in LABELLED.findall(TASKS) if form == "Node (kannon.js)"]
TOP_LEVEL_AWAIT = """
import ast, asyncio, inspect, sys
code = compile(open(sys.argv[1]).read(), sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def main(): await eval(code, {"__name__": "__main__"})
asyncio.run(main())
"""
"""What `python -m asyncio` does with each input, but it ends at the first error."""
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


def test_every_task_has_every_form() -> None:
    setup, *tasks = TASKS.split("\n### ")
    assert [form for form, _ in LABELLED.findall(setup)] == list(FORMS)
    forms = {text.partition("\n")[0]: [form for form, _ in LABELLED.findall(text)] for text in tasks}
    assert forms.pop("By SMTP: PHP, Django, WordPress") == []
    assert forms.pop("SendHTML") == [*FORMS, "Node (kannon.js)"]
    assert set(map(tuple, forms.values())) == {FORMS}
    assert len(tasks) == 14


@pytest.mark.parametrize("form", FORMS)
async def test_the_tasks_run(api: RunningApi, db: Database, tmp_path: Path, form: str) -> None:
    """The blocks of one form are one program, as the text says."""
    programs = {
        "curl": ("sh", ["bash", "-euo", "pipefail"]),
        "Python (httpx)": ("py", [sys.executable, "-W", "error"]),
        "Python (grpclib)": ("py", [sys.executable, "-W", "error", "-c", TOP_LEVEL_AWAIT]),
        "Node (fetch)": ("mjs", ["node"]),
    }
    suffix, command = programs[form]
    if shutil.which(command[0]) is None and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip(f"{command[0]} is not installed")
    await api.create_domain("example.com")
    scopes = ["send", "read", "suppressions", "templates", "webhooks"]
    wanted = CreateKeyRequest(domain="example.com", name="all", scopes=scopes)
    key = await KeysStub(api.channel).CreateKey(wanted, metadata=ADMIN)
    delivered = Event(
        "e1", EventType.DELIVERED, "example.com", "msg_1@example.com", "ann@example.net", datetime.now(UTC)
    )
    await store(db, [delivered])
    program = tmp_path / f"tasks.{suffix}"
    program.write_text("".join(text for of, text in LABELLED.findall(TASKS) if of == form))
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "KANNON_SERVER": f"{api.host}:{api.port}",
        "KANNON_KEY": key.secret,
        "KANNON_TOKEN": TOKEN,
    }
    done = await anyio.run_process([*command, str(program)], env=env, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, done.stderr.decode() + said
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT subject FROM messages ORDER BY created_at")
    assert len(rows) == 5
    assert "ann@example.net" in said


@pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed")
def test_the_php_blocks_are_valid() -> None:
    blocks = re.findall(r"^```php\n(.*?)^```$", TASKS, re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        subprocess.run(["php", "-l"], input=block.encode(), check=True, capture_output=True)
