"""One HTTPS request to one address: what MTA-STS policies and TLS reports need, and no more.

In: a request, the address to connect to (the caller has checked it), the context that verifies the server's certificate
for the host name. Out: a `Response`. Raises HttpsError. No redirect is followed, nothing is cached, and the body of the
response and the time for all of it are bounded.
"""

import asyncio
import ssl
from dataclasses import dataclass, field

import anyio
import h11

READ_BYTES = 16 << 10


class HttpsError(Exception):
    """No response, or none that is allowed. `certificate`: the server's certificate was not accepted."""

    def __init__(self, reason: str, *, certificate: bool = False) -> None:
        super().__init__(reason)
        self.certificate = certificate


@dataclass(frozen=True, slots=True)
class Request:
    host: str
    target: str
    method: str = "GET"
    port: int = 443
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    content_type: str
    body: bytes


async def call(request: Request, address: str, context: ssl.SSLContext, *, max_bytes: int, seconds: float) -> Response:
    """Raises HttpsError."""
    try:
        with anyio.fail_after(seconds):
            reader, writer = await asyncio.open_connection(
                address, request.port, ssl=context, server_hostname=request.host, limit=READ_BYTES
            )
            try:
                return await _exchange(request, reader, writer, max_bytes)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise HttpsError(f"{request.host} did not answer within {seconds:.0f} s") from None
    except ssl.SSLCertVerificationError as error:
        raise HttpsError(f"{request.host}: {error.verify_message}", certificate=True) from None
    except (OSError, ValueError, h11.ProtocolError) as error:  # ValueError: no name for TLS
        raise HttpsError(f"{request.host}: {error or type(error).__name__}"[:200]) from None


async def _exchange(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int
) -> Response:
    host = request.host if request.port == 443 else f"{request.host}:{request.port}"
    headers = [("Host", host), ("User-Agent", "kannon"), ("Connection", "close"), *request.headers]
    if request.body:
        headers.append(("Content-Length", str(len(request.body))))
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=READ_BYTES)
    start = h11.Request(method=request.method, target=request.target, headers=headers)
    parts = [connection.send(start)]
    if request.body:
        parts.append(connection.send(h11.Data(data=request.body)))
    parts.append(connection.send(h11.EndOfMessage()))
    writer.write(b"".join(part for part in parts if part))
    await writer.drain()
    response: h11.Response | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > max_bytes:
                raise HttpsError(f"{request.host}: the response has more than {max_bytes} bytes")
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            return Response(response.status_code, _content_type(response), bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise HttpsError(f"{request.host}: no response")


def _content_type(response: h11.Response) -> str:
    """Without parameters, in lower case."""
    for name, value in response.headers:
        if name == b"content-type":
            return value.decode("latin-1").partition(";")[0].strip().lower()
    return ""
