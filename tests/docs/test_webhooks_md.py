"""docs/webhooks.md and its schema describe what the code posts."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from standardwebhooks import Webhook

from kannon.mail.event import EventType
from kannon.mail.webhook import _FIELDS, RETRIES, WebhookEvent, WebhookType, event_body, make_request

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "webhooks.schema.json").read_text())
TEXT = (DOCS / "webhooks.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
AT = datetime(2026, 11, 24, 7, tzinfo=UTC)
TYPES: dict[str, object] = {
    "integer": 7,
    "boolean": True,
    "string": "text",
}
RECORD = {"purpose": "SPF", "name": "x", "kind": "TXT", "problem": "missing", "hint": ""}
OTHER: dict[str, object] = {
    "metadata": {"order": "7"},
    "cause": "bounced",
    "expires_at": "2027-05-05T07:08:09+00:00",
    "records": [RECORD],
}


def validate(body: object) -> None:
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(body)


def full(kind: WebhookType) -> dict[str, object]:
    """Every field that the type can have, and some that it cannot."""
    properties = SCHEMA["$defs"][kind.value]["properties"]["data"]["properties"]
    data = {name: OTHER.get(name) or TYPES[of["type"]] for name, of in properties.items()}
    return data | {"event_id": "x", "tracking_mode": 4, "type": "delivered"}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("kind", list(WebhookType))
def test_the_schema_has_exactly_the_fields_that_the_code_writes(kind: WebhookType) -> None:
    data = SCHEMA["$defs"][kind.value]["properties"]["data"]
    fields, always = _FIELDS[kind]
    assert list(data["properties"]) == list(fields)
    assert set(data["required"]) == always
    body = event_body(WebhookEvent("x", kind, AT, full(kind)))
    assert set(body["data"]) == set(fields)
    validate(body)


@pytest.mark.parametrize("kind", list(WebhookType))
def test_an_event_with_little_to_say_is_valid_too(kind: WebhookType) -> None:
    few = {name: value for name, value in full(kind).items() if name in _FIELDS[kind][1]}
    validate(event_body(WebhookEvent("x", kind, AT, few)))
    empty = {**full(kind), **dict.fromkeys(set(_FIELDS[kind][0]) - _FIELDS[kind][1])}
    assert set(event_body(WebhookEvent("x", kind, AT, empty))["data"]) == _FIELDS[kind][1]


def test_a_list_of_events_is_valid() -> None:
    events = [WebhookEvent(f"x{n}", kind, AT, full(kind)) for n, kind in enumerate(WebhookType)]
    validate(json.loads(make_request(events, batched=True, now=AT).body))
    validate(json.loads(make_request(events[:1], batched=True, now=AT).body))
    with pytest.raises(ValidationError):
        validate({"type": "events", "timestamp": "2026-11-24T07:00:00Z", "data": []})


def test_there_is_a_valid_example_of_each_type() -> None:
    assert [example["type"] for example in EXAMPLES] == [kind.value for kind in WebhookType]
    for example in EXAMPLES:
        validate(example)


def test_every_event_of_the_statistics_is_a_type() -> None:
    names = {f"delivery.{'deferred' if kind is EventType.ERROR else kind.value}" for kind in EventType}
    assert names == {kind.value for kind in WebhookType if kind.startswith("delivery.")}


def test_the_retries_are_those_of_the_text() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    found = re.search(r"The attempts come after (.*?), each up to", TEXT, re.DOTALL)
    assert found is not None
    times = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", found[1])]
    assert times == [int(delay.total_seconds()) for delay in RETRIES]
    assert int(sum(times) / 3600) == 75


def test_the_program_verifies_what_is_signed() -> None:
    [program] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "x",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("x", now, "{}"),
    }
    exec(program, {"secret": secret, "body": b"{}", "headers": headers})
