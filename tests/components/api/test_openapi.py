"""/openapi.json is a valid OpenAPI 3.1 document of every call; schemathesis sends the server what it describes."""

import json
import sys
from pathlib import Path

import anyio
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from kannon.bus.bus import Bus
from kannon.db.pool import Database
from kannon.pb.openapi import DOCUMENT
from tests.support.api import TOKEN, running_api
from tests.support.services import SERVICES

OPENAPI = json.loads(DOCUMENT)


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(OPENAPI).iter_errors()) == []


def test_it_has_every_unary_method() -> None:
    methods = {f"/{s.full_name}/{m.name}" for s in SERVICES for m in s.methods if not m.server_streaming}
    assert {path for path, operations in OPENAPI["paths"].items() if "post" in operations} == methods


@pytest.mark.long
async def test_schemathesis_finds_nothing(db: Database, bus: Bus, tmp_path: Path) -> None:
    async with running_api(db, bus=bus) as api:
        await api.create_domain("example.com")
        done = await anyio.run_process(
            [
                *(str(Path(sys.executable).parent / "schemathesis"), "run"),
                f"http://{api.host}:{api.port}/openapi.json",
                *("--header", f"Authorization: Bearer {TOKEN}", "--header", "x-kannon-domain: example.com"),
                *("--checks", "not_a_server_error,content_type_conformance,response_schema_conformance"),
                *("--max-examples", "3", "--phases", "fuzzing", "--seed", "1", "--workers", "1"),
            ],
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stdout.decode()[-5000:]
