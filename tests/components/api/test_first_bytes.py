"""The first bytes of a connection decide its protocol."""

import asyncio
import ssl
from pathlib import Path

import anyio
import pytest
from grpclib.const import Status

from kannon.components.api.grpc.flood import PREFACE
from tests.support.certificates import make_authority
from tests.support.h2_client import H2Client, grpc_headers, h2_client
from tests.support.h2_server import call_is_answered, serving
from tests.support.patience import patience

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def answer_to(host: str, port: int, sent: bytes) -> bytes:
    """All that the server says until it closes the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(sent)
        got = b""
        with patience():
            try:
                while data := await reader.read(1000):
                    got += data
            except ConnectionError:
                pass  # closed with bytes unread
        return got
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\n\r\n" + bytes(100_000), 400),
        (bytes(100), 400),
        (b"PRI * HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 100_000, 431),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_other_bytes_are_http_and_get_one_answer(sent: bytes, status: int) -> None:
    async with serving() as (_, host, port):
        said = await answer_to(host, port, sent)
        assert said.startswith(b"HTTP/1.1 %d" % status)
        assert said.count(b"HTTP/1.1 ") == 1
        await call_is_answered(host, port)


async def test_a_peer_that_comes_again_and_again_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as (_, host, port):
        for _ in range(5):
            assert await answer_to(host, port, b"\x16\x03\x01\x02") == b""
    [line] = capsys.readouterr().err.splitlines()
    assert "[info] TLS client on a port without TLS" in line


async def test_the_first_request_of_an_http2_connection_decides() -> None:
    async with serving() as (_, host, port), h2_client(host, port) as client:
        other = [(name, "application/json" if name == "content-type" else value) for name, value in grpc_headers("/x")]
        answer = await client.answer(await client.open(other, end=True))
        assert (answer.headers[":status"], answer.data) == (
            "404",
            b'{"code": "unimplemented", "message": "nothing here"}',
        )
        again = await client.answer(await client.open(other, end=True))
        assert again.headers[":status"] == "404"


async def test_a_preface_that_arrives_in_pieces_is_http2() -> None:
    async with serving() as (_, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        client = H2Client(reader, writer)
        sent = client.h2.data_to_send()
        assert sent.startswith(PREFACE)
        for byte in sent:
            await client.raw(bytes([byte]))
            await anyio.lowlevel.checkpoint()
        stream = await client.open(grpc_headers("/nothing/here"))
        assert (await client.answer(stream)).status == Status.UNIMPLEMENTED.value
        writer.close()


async def test_a_tls_client_on_a_port_without_tls(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as (_, host, port):
        context = ssl.create_default_context()
        with patience(), pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")
        await call_is_answered(host, port)
    [line] = capsys.readouterr().err.splitlines()
    assert "[info] TLS client on a port without TLS" in line


async def test_a_client_without_tls_on_a_tls_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = make_authority(tmp_path)
    async with serving(authority.issue("localhost")) as (server, host, port):
        for sent in (PREFACE, GET):
            assert b"HTTP" not in await answer_to(host, port, sent)
        with patience():
            while list(server._connections):
                await anyio.lowlevel.checkpoint()
        context = ssl.create_default_context(cafile=authority.pem)
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")
        client = H2Client(reader, writer)
        stream = await client.open(grpc_headers("/nothing/here"))
        assert (await client.answer(stream)).status == Status.UNIMPLEMENTED.value
        writer.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("[info] TLS handshake failed" in line for line in lines)
