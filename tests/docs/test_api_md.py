"""docs/api.md agrees with the protos and the code."""

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from kannon.components.api.rpc import STATUSES
from kannon.mail.event import EventType
from kannon.mail.send_request import RejectReason
from tests.support.services import SERVICES

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_api_md_lists_each_service_with_exactly_its_methods(service: ServiceDescriptor) -> None:
    [row] = re.findall(rf"^\| `{re.escape(service.full_name)}` \| (.*?) \|", TEXT, re.M)
    assert re.findall(r"\w+", row) == [method.name for method in service.methods]


def test_api_md_explains_each_status_and_each_reason() -> None:
    rows = re.findall(r"^\| ([A-Z_]+) \|", TEXT, re.M)
    assert {status.name for status in STATUSES.values()} <= set(rows)
    assert re.findall(r"^\| `([a-z_]+)` \|", TEXT, re.M) == [reason.value for reason in RejectReason]


def test_api_md_names_each_type_of_event() -> None:
    [types] = re.findall(r"^Types: (.*)\.$", TEXT, re.M)
    assert re.findall(r"[a-z]+", re.sub(r"\(.*?\)", "", types)) == [kind.value for kind in EventType]
