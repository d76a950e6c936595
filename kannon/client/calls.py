"""The connection of a client: address, credentials, TLS, and the errors of calls.

In: a stub's method and a request. Out: its response. Raises CallRefused for a status other than OK, Unavailable for an
unreachable or unavailable server.
"""

import base64
import os
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from kannon.errors import KannonError, Unavailable

CALL_SECONDS = 60.0
_WINDOW_BYTES = 16 << 20
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class CallRefused(KannonError):
    """The server answered with a status other than OK. The text is the server's."""

    def __init__(self, status: Status, text: str) -> None:
        super().__init__(text or status.name.lower().replace("_", " "))
        self.status = status


@dataclass(frozen=True, slots=True)
class Tls:
    """Without `ca_file` the system's authorities are trusted. With `pinned` the server's certificate must be the one in
    `ca_file`, and its name is not checked."""

    ca_file: Path | None = None
    pinned: bool = False

    def context(self) -> ssl.SSLContext:
        """Raises OSError, ssl.SSLError."""
        context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        if self.pinned:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["h2"])
        return context


class Calls:
    """Connects at the first call. Safe to use from several tasks of one event loop."""

    def __init__(
        self,
        server: str,
        *,
        admin_token: str = "",
        api_key: tuple[str, str] | None = None,
        send_as: str = "",
        attribution: str = "",
        tls: Tls | None = None,
        timeout_seconds: float = CALL_SECONDS,
    ) -> None:
        """`server` is host:port. `api_key` is (domain, key) and authenticates `send`; `admin_token` authenticates all
        other calls, and with the domain `send_as` also `send`. Raises ValueError, OSError."""
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f'"{server}" is not of the form host:port')
        self._server = server
        self._timeout = timeout_seconds
        self._admin = {"x-kannon-admin-token": admin_token} if admin_token else {}
        if attribution:
            self._admin["x-kannon-attribution"] = attribution
        self._tenant = {} if api_key is None else _basic(*api_key)
        # A reading key sees its own domain without the token.
        self._reader = self._admin if admin_token else self._tenant
        if send_as:
            self._tenant = self._admin | {"x-kannon-domain": send_as}
        self._channel = Channel(
            host.removeprefix("[").removesuffix("]"),
            int(port),
            ssl=None if tls is None else tls.context(),
            config=Configuration(http2_connection_window_size=_WINDOW_BYTES, http2_stream_window_size=_WINDOW_BYTES),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    async def _rpc(self, method: UnaryUnaryMethod[Request, Response], request: Request) -> Response:
        return await self._call(method, request, self._admin)

    async def _call(
        self, method: UnaryUnaryMethod[Request, Response], request: Request, metadata: Mapping[str, str]
    ) -> Response:
        with self._errors():
            return await method(request, timeout=self._timeout, metadata=metadata)

    async def _stream(
        self, method: UnaryStreamMethod[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """The answers, without an end of its own and without a time limit."""
        with self._errors():
            async with method.open(metadata=self._reader) as stream:
                await stream.send_message(request, end=True)
                async for response in stream:
                    yield response

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except GRPCError as error:
            if error.status is Status.UNAVAILABLE:
                raise Unavailable(f"{self._server}: {error.message or 'unavailable'}") from None
            raise CallRefused(error.status, error.message or "") from None
        except TimeoutError:
            raise Unavailable(f"{self._server} did not answer within {self._timeout:g} s") from None
        except (OSError, StreamTerminatedError, ProtocolError) as error:
            raise Unavailable(f"{self._server} cannot be reached: {_reason(error)}") from None


def _basic(domain: str, key: str) -> dict[str, str]:
    """RFC 7617."""
    return {"authorization": "Basic " + base64.b64encode(f"{domain}:{key}".encode()).decode()}


def timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    value = Timestamp()
    value.FromDatetime(at)
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):  # its numbers are OpenSSL's, not the system's
        return f"TLS: {error}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
