"""kannon.client: what a Python program sends with it is what it meant."""

import json
import os
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from grpclib.const import Status

from kannon.client import CallRefused, Client
from kannon.client.calls import _reason
from kannon.db.pool import Database
from kannon.errors import Unavailable
from tests.support.api import TOKEN, running_api


async def test_html_and_templates_are_sent(db: Database) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with running_api(db) as api:
        server = f"{api.host}:{api.port}"
        async with Client(server, admin_token=TOKEN) as admin:
            await admin.create_domain("example.com")
            _, secret = await admin.create_api_key("example.com", "test")
        async with Client(server, api_key=("example.com", secret)) as kannon:
            people = {"ann@example.net": {"name": "Ann"}, "bob@example.net": {}}
            first = await kannon.send_html("News <news@example.com>", "Hello", "<p>x</p>", people, fields={"a": "b"})
            again = [
                await kannon.send_template(
                    "news@example.com", "Again", first.template_id, ["carl@example.net"], at=later, idempotency_key="k"
                )
                for _ in range(2)
            ]
            await kannon.send_template("news@example.com", "One", first.template_id, "dora@example.net")
            with pytest.raises(CallRefused) as refused:
                await kannon.send_html("news@other.org", "Hello", "<p>x</p>", [])
    assert (first.accepted_count, refused.value.status) == (2, Status.PERMISSION_DENIED)
    assert again[0] == again[1]
    async with db.acquire() as connection:
        batches = await connection.fetch("SELECT * FROM messages ORDER BY created_at")
        rows = await connection.fetch("SELECT email, fields, due_at FROM sending_pool_emails ORDER BY id")
    assert [(b["sender_alias"], b["subject"], json.loads(b["global_fields"])) for b in batches] == [
        ("News", "Hello", {"a": "b"}),
        ("", "Again", {}),
        ("", "One", {}),
    ]
    assert [(r["email"], json.loads(r["fields"]), r["due_at"] == later) for r in rows] == [
        ("ann@example.net", {"name": "Ann"}, False),
        ("bob@example.net", {}, False),
        ("carl@example.net", {}, True),
        ("dora@example.net", {}, False),
    ]


async def test_a_pause_is_of_one_thing(db: Database) -> None:
    async with running_api(db) as api, Client(f"{api.host}:{api.port}", admin_token=TOKEN) as kannon:
        await kannon.create_domain("example.com")
        assert (await kannon.pause(domain="example.com")).domain == "example.com"
        for nothing_or_two in ({}, {"domain": "example.com", "destination": "example.net"}):
            with pytest.raises(ValueError, match="exactly one"):
                await kannon.resume(**nothing_or_two)
        assert [pause.domain for pause in await kannon.list_pauses()] == ["example.com"]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with Client("127.0.0.1:1") as kannon:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await kannon.failing_checks()


def test_a_tls_fault_is_told_in_words_not_by_its_number() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    untrusted.verify_message = "self-signed certificate"
    assert _reason(untrusted) == "its certificate is not trusted (self-signed certificate)"
    assert _reason(ssl.SSLError(1, "wrong version number")) != os.strerror(1)
