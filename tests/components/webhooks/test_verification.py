"""Another language's package accepts what is posted."""

import json
import os
import shutil
from pathlib import Path

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.db.pool import Database
from tests.support.endpoint import endpoint
from tests.support.webhooks import SECRET, add_endpoint, event, make, running, store

INTEROP = Path(__file__).resolve().parents[2] / "interop"


@pytest.mark.parametrize("max_batch", [1, 10])
async def test_the_node_package_verifies_a_request(db: Database, bus: Bus, max_batch: int) -> None:
    node = shutil.which("node")
    if not (node and (INTEROP / "node_modules" / "standardwebhooks").is_dir()):
        if os.environ.get("KANNON_SKIP_INTEROP") == "1":
            pytest.skip("standardwebhooks is not installed")
        raise AssertionError("node or standardwebhooks is missing; see packaging/install-test-packages")
    assert node is not None
    async with endpoint() as at:
        await add_endpoint(db, at.url, max_batch=max_batch)
        async with running(make(db, bus)):
            await store(db, [event(1), event(2)])
            await at.wait(2)
    [request, *_] = at.requests
    body = request.body.decode()
    told = {"secret": SECRET, "headers": dict(request.headers), "body": body}
    done = await anyio.run_process([node, "verify_webhook.js"], cwd=INTEROP, input=json.dumps(told).encode())
    assert json.loads(done.stdout) == json.loads(body)
    told["body"] = body.replace("example.com", "example.net")
    forged = await anyio.run_process(
        [node, "verify_webhook.js"], cwd=INTEROP, input=json.dumps(told).encode(), check=False
    )
    assert forged.returncode != 0
