"""Headers that are not as they should be cost their call, not the connection."""

import pytest
from grpclib.const import Status

from kannon.components.api.grpc.headers import Headers, malformed
from tests.support.h2_client import framed, grpc_headers, h2_client
from tests.support.h2_server import serving

GOOD: Headers = [(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), (":authority", "h"), ("te", "trailers")]
MALFORMED: dict[str, Headers] = {
    "no path": [h for h in GOOD if h[0] != ":path"],
    "no method": [h for h in GOOD if h[0] != ":method"],
    "a path twice": [(":path", "/c"), *GOOD],
    "an unknown pseudo-header field": [(":status", "200"), *GOOD],
    "a pseudo-header field at the end": [*GOOD[1:], GOOD[0]],
    "upper case": [*GOOD, ("X-Note", "a")],
    "an empty name": [*GOOD, ("", "a")],
    "a name beyond ASCII": [*GOOD, ("x-\xe9", "a")],
    "a header of the connection": [*GOOD, ("connection", "close")],
    "a line break": [*GOOD, ("x-note", "a\r\nb: c")],
    "a null": [*GOOD, ("x-note", "a\0")],
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_a_malformed_request_costs_its_call_only(kind: str) -> None:
    assert malformed(GOOD) is None
    async with serving() as (_, host, port), h2_client(host, port) as client:
        other = await client.open(grpc_headers("/nothing/here"))
        stream = await client.open(MALFORMED[kind])
        assert (await client.answer(stream)).status == Status.INVALID_ARGUMENT.value
        assert (await client.answer(other)).status == Status.UNIMPLEMENTED.value
        assert client.goaway is None


@pytest.mark.parametrize("value", [" a", "a ", "\ta\t", " ", ""])
async def test_blanks_around_a_value_are_trimmed(value: str) -> None:
    async with serving() as (_, host, port), h2_client(host, port) as client:
        stream = await client.open(grpc_headers("/nothing/here", ("x-note", value), ("grpc-timeout", " 10S ")))
        await client.send(stream, framed(b""))
        assert (await client.answer(stream)).status == Status.UNIMPLEMENTED.value
        assert not client.closed
