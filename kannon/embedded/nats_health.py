"""Asks an embedded nats-server whether JetStream can store: its own health check, on the system account.

In: the server's port and the password of its system user. Out: the server's reason, empty if it is healthy. It speaks
the few lines of the NATS protocol that one request needs, since nats-py is for the bus only. A stream that met a write
error refuses every write until the server is restarted, and its health check names it.
"""

import json
from typing import Final

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from kannon.errors import Unavailable

SYSTEM_USER: Final = "system"
_SUBJECT: Final = "$SYS.REQ.SERVER.PING.HEALTHZ"
_INBOX: Final = "_INBOX.health"
_LINE_BYTES: Final = 1 << 20
_ANSWER_SECONDS: Final = 5.0


async def ask_health(host: str, port: int, password: str) -> str:
    """One connection, one request. Raises Unavailable if the server does not answer."""
    try:
        with anyio.fail_after(_ANSWER_SECONDS):
            async with await anyio.connect_tcp(host, port) as stream:
                return await _request(stream, password)
    except (OSError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, TimeoutError) as error:
        raise Unavailable(f"nats-server does not answer: {error or type(error).__name__}") from None
    except (ValueError, LookupError, anyio.DelimiterNotFound) as error:
        raise Unavailable(f"nats-server gives an unknown answer: {error}") from None


async def _request(stream: ByteStream, password: str) -> str:
    lines = BufferedByteReceiveStream(stream)
    login = {"user": SYSTEM_USER, "pass": password, "verbose": False, "pedantic": False, "name": "kannon health"}
    await stream.send(f"CONNECT {json.dumps(login)}\r\nSUB {_INBOX} 1\r\nPUB {_SUBJECT} {_INBOX} 0\r\n\r\n".encode())
    while True:
        line = await lines.receive_until(b"\r\n", _LINE_BYTES)
        if line.startswith(b"MSG "):  # MSG <subject> <sid> <bytes>
            answer = json.loads(await lines.receive_exactly(int(line.split()[-1])))
            return str(answer["data"].get("error", ""))
        if line.startswith(b"-ERR"):
            raise ValueError(line.decode(errors="replace"))
