"""Posts to URLs that a customer chose: the one HTTP client of this program, and its limits.

In: a URL, header fields, a body. Out: a `Posted`, never an exception but cancellation. It connects to public addresses
only, and looks at the address of the socket, not at an earlier answer of the name server. It follows no redirect,
verifies certificates, reads at most ANSWER_BYTES of an answer, and gives up after POST_SECONDS. Connections are reused.
"""

import asyncio
import email.utils
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from kannon import __version__
from kannon.outbound.route.addresses import refusal

POST_SECONDS: Final = 15.0
ANSWER_BYTES: Final = 1024
_IDLE_SECONDS = 30.0
_DRAINED_BYTES = 64 << 10
"""Of an answer that is longer than ANSWER_BYTES; then the connection is closed instead of reused."""
_DRAIN_SECONDS = 2.0
_MAX_LOOK_UPS = 64
"""At once: a look-up whose name servers do not answer takes a thread for as long."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host name. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Posted:
    """`problem` is empty where the answer was 2xx. `status` 0: no answer came. `answer`: its first ANSWER_BYTES."""

    status: int
    problem: str
    answer: str
    seconds: float
    retry_after: timedelta | None = None


class PrivateAddress(OSError):
    """The host has no address but private ones."""


class Poster:
    """An async context manager. `allow_private`: also to loopback and private addresses."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        ca_file: str = "",
        resolve: Resolve | None = None,
        seconds: float = POST_SECONDS,
    ) -> None:
        self._allow_private = allow_private
        self._ca_file = ca_file
        self._resolve = resolve
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,  # the caller bounds the requests
            resolver=_Resolver(self._resolve),
            use_dns_cache=False,
            keepalive_timeout=_IDLE_SECONDS,
            socket_factory=self._open_socket,
            ssl=ssl.create_default_context(cafile=self._ca_file or None),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            headers={"user-agent": f"Kannon/{__version__}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        assert self._session is not None, "entered before"  # noqa: S101  # for the type checker
        started = time.monotonic()
        status, answer, problem, retry_after = 0, b"", "", None
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                status = response.status
                retry_after = _retry_after(response.headers.get("retry-after", ""))
                answer = await _read_start(response)
        except TimeoutError:
            problem = f"no answer within {self._seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = _describe(error)
        if status:  # it counts, whatever became of the rest
            problem = "" if 200 <= status < 300 else _status_problem(status)
        text = answer.decode("utf-8", "replace").replace("\0", "�")
        return Posted(status, problem, text, time.monotonic() - started, retry_after)

    def _open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """aiohttp calls it for each connection, after its look-up and for addresses in the URL too: what it connects to
        is what is checked here."""
        family, kind, protocol, _, address = info
        if not self._allow_private and refusal(address[0].partition("%")[0]) is not None:
            raise PrivateAddress(f"{address[0]} is not a public address")
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened


class _Resolver(AbstractResolver):
    """The given one, or the system's in threads of its own: the event loop's few are for others."""

    def __init__(self, resolve: Resolve | None) -> None:
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(_MAX_LOOK_UPS, thread_name_prefix="look-up")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if self._resolve is not None:
            addresses = list(await self._resolve(host))
        else:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
            addresses = [str(each[4][0]) for each in found]
        if not addresses:
            raise OSError(f"{host} has no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in dict.fromkeys(addresses)
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


async def _read_start(response: aiohttp.ClientResponse) -> bytes:
    """What cannot be read does not matter: the status says what became of the request."""
    start, size = b"", 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while size < _DRAINED_BYTES and (chunk := await response.content.read(ANSWER_BYTES * 16)):
                start += chunk[: ANSWER_BYTES - len(start)]
                size += len(chunk)
    except (TimeoutError, aiohttp.ClientError, OSError):
        response.close()
    return start


def _retry_after(text: str) -> timedelta | None:
    """RFC 9110 §10.2.3: seconds, or a date."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:10]), 10**8))
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(timedelta(0), at - datetime.now(UTC))


def _status_problem(status: int) -> str:
    return f"answered {status}, a redirect, which is not followed" if 300 <= status < 400 else f"answered {status}"


def _describe(error: Exception) -> str:
    """One line, without the class names of the client."""
    cause: BaseException | None = getattr(error, "os_error", None) or error.__cause__ or error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    for each in (cause, *getattr(cause, "exceptions", ())):
        if isinstance(each, PrivateAddress):
            return f"not connected: {each}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {cause.verify_message}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return f"its answer is no HTTP: {_line(getattr(error, 'message', '') or error)}"
    return f"cannot be reached: {_line(cause) or type(cause).__name__}"


def _line(text: object) -> str:
    return " ".join(str(text).split())[:200]
