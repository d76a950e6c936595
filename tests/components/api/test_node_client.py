"""kannon.js from npm, unchanged, against this server: the client that users have."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from kannon.db.pool import Database
from kannon.pb.admin.apiv1.adminapiv1_pb2 import CreateAPIKeyRequest
from tests.support.api import ADMIN, RunningApi, running_api

INTEROP = Path(__file__).resolve().parents[2] / "interop"


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    there = found is not None and (INTEROP / "node_modules" / "kannon.js").is_dir()
    if not there and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip("kannon.js is not installed")
    assert there, "kannon.js is missing; run packaging/install-test-packages"
    return str(found)


async def send(node: str, api: RunningApi, **asked: Any) -> Any:
    values = {
        "host": f"{api.host}:{api.port}",
        "domain": "example.com",
        "sender": {"email": "news@example.com", "alias": "Nëws"},
        "subject": "Hello {{ name }}",
        "recipients": [{"email": "bob@example.net", "fields": {"name": "Bob"}}],
    }
    done = await anyio.run_process(
        [node, str(INTEROP / "send.js")], input=json.dumps(values | asked).encode(), stderr=sys.stderr, check=True
    )
    return json.loads(done.stdout)


async def test_the_node_client_sends_html_and_then_its_template(node: str, db: Database) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await _secret(api)
        first = await send(node, api, key=key, html="<p>Hello {{ name }}</p>", scheduledTime=later)
        second = await send(node, api, key=key, templateId=first["templateId"])
    assert first["messageId"].startswith("msg_")
    assert first["scheduledTime"] == later
    assert second["templateId"] == first["templateId"]
    async with db.acquire() as connection:
        deliveries = await connection.fetch("SELECT message_id, email, fields FROM sending_pool_emails ORDER BY id")
        aliases = await connection.fetchval("SELECT array_agg(DISTINCT sender_alias) FROM messages")
    assert [(d["message_id"], d["email"]) for d in deliveries] == [
        (first["messageId"], "bob@example.net"),
        (second["messageId"], "bob@example.net"),
    ]
    assert json.loads(deliveries[0]["fields"]) == {"name": "Bob"}
    assert aliases == ["Nëws"]


async def test_the_node_client_reads_refusals(node: str, db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        wrong_key = await send(node, api, key="k_wrong", html="x")
        empty_subject = await send(node, api, key=await _secret(api), html="x", subject="")
    assert wrong_key == {"code": 16, "details": "invalid or wrong auth"}
    assert empty_subject == {"code": 3, "details": "subject: must not be empty"}


async def _secret(api: RunningApi) -> str:
    made = await api.admin.CreateAPIKey(CreateAPIKeyRequest(domain="example.com", name="node"), metadata=ADMIN)
    return made.key
