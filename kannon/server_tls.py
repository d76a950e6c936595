"""TLS of the servers: the certificate for each handshake, which may change while they run.

In: PEM files, or certificates that Kannon has ordered, by name. Out: an SSLContext for a listener; it takes the
certificate at each handshake. Files that change are read again at the next handshake, at most once a second; where they
cannot be used, the former certificate stays and the log says why.
"""

import os
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from kannon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger()

CHECK_SECONDS: Final = 1.0


class CertificateFiles:
    """A certificate and its key. `section` is that of the configuration, for errors. Raises ConfigError when made."""

    def __init__(
        self,
        section: str,
        cert: str,
        key: str,
        alpn: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._section = section
        self._cert, self._key, self._alpn = cert, key, alpn
        self._clock = clock
        self._stamp = self._read_stamp()
        self._checked = clock()
        try:
            self._context = _load(cert, key, alpn)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"configuration: {section}.tls_cert, {section}.tls_key: {_reason(error)}") from None

    def context(self) -> ssl.SSLContext:
        if self._clock() - self._checked >= CHECK_SECONDS:
            self._checked = self._clock()
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._reload(stamp)
        return self._context

    def _reload(self, stamp: object) -> None:
        try:
            self._context = _load(self._cert, self._key, self._alpn)
        except (OSError, ssl.SSLError) as error:
            # Perhaps one of the two is written and the other is not yet: the next handshake tries again.
            log.warning("TLS files changed and cannot be used", section=self._section, problem=_reason(error))
        else:
            self._stamp = stamp
            log.info("TLS files changed: the new certificate is in use", section=self._section)

    def _read_stamp(self) -> object:
        """Differs when a file has changed, a renamed one too."""
        try:
            found = [Path(file).stat() for file in (self._cert, self._key)]
        except OSError:
            return None
        return [(each.st_ino, each.st_mtime_ns, each.st_size) for each in found]


class IssuedCertificates:
    """Certificates of this server's names, as PostgreSQL has them. `missing` holds names that a handshake asked for."""

    _MAX_MISSING: Final = 1000

    def __init__(self, on_missing: Callable[[], None] = lambda: None) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.missing: set[str] = set()
        self.on_missing = on_missing

    def put(self, name: str, chain: str, private_key: str) -> None:
        """PEM. Raises ValueError where they do not go together."""
        with _in_memory(chain) as cert, _in_memory(private_key) as key:
            try:
                self._contexts[name] = _load(cert, key)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(f"{name}: {_reason(error)}") from None

    def has(self, name: str) -> bool:
        return name in self._contexts

    def find(self, name: str) -> ssl.SSLContext | None:
        context = self._contexts.get(name)
        if context is None and len(self.missing) < self._MAX_MISSING:
            self.missing.add(name)
            self.on_missing()
        return context


class ServerTls:
    """`context` is for a listener. With `files` they serve every name; else the certificate of the name that the client
    asks for, or of `default`."""

    def __init__(
        self, files: CertificateFiles | None, issued: IssuedCertificates | None = None, default: str = ""
    ) -> None:
        self._files = files
        self._issued = issued
        self._default = default
        self.context = _new_context()
        # RFC 6066 §3: called at each handshake, also where the client names no server.
        self.context.sni_callback = self._on_hello

    @property
    def ready(self) -> bool:
        """There is a certificate for clients that name no server."""
        return self._files is not None or (self._issued is not None and self._issued.has(self._default))

    def _on_hello(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        context = self._files.context() if self._files is not None else self._find((name or "").lower())
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        return None

    def _find(self, name: str) -> ssl.SSLContext | None:
        if self._issued is None:
            return None
        found = self._issued.find(name) if name else None
        if found is None and self._default:
            found = self._issued.find(self._default)
        return found


def make_server_tls(
    section: str,
    cert: str,
    key: str,
    issued: IssuedCertificates | None = None,
    default: str = "",
    alpn: Sequence[str] = (),
) -> ServerTls | None:
    """Of the section's files; without them of the certificates that Kannon orders, if it does. Raises ConfigError."""
    if cert:
        return ServerTls(CertificateFiles(section, cert, key, alpn))
    return ServerTls(None, issued, default) if issued is not None else None


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(cert: str, key: str, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    context = _new_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    context.load_cert_chain(cert, key)
    return context


@contextmanager
def _in_memory(text: str) -> "Iterator[str]":
    """A path that has this text: OpenSSL reads certificates from files only, and a key goes to no disk."""
    handle = os.memfd_create("pem")
    try:
        os.write(handle, text.encode())
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", "") or "cannot be read"
