"""Connects a session and makes it ready for mail: connect, greeting, EHLO, STARTTLS, AUTH.

In: host, address and `TransportPolicy`. Out: a `Session`, or the `Failure` that stopped it. A handshake that fails
under opportunistic TLS is followed by one more connection in clear text, within the same attempt. Bytes behind the
reply to STARTTLS end the connection: they may be injected.
"""

import asyncio
import base64
import os
import socket
import ssl
import zlib
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import anyio

from kannon.mail.verdict import Stage
from kannon.outbound.client.replies import Extensions, RawReply, parse_extensions
from kannon.outbound.client.session import STAGE_SECONDS, Peer, Session
from kannon.outbound.client.tls import TlsContexts, TlsMode, describe
from kannon.outbound.trouble import Failure, Kind

_NO_ESMTP = frozenset({500, 502})  # RFC 5321 §4.2.4: command not recognized, or not implemented


@dataclass(frozen=True, slots=True)
class TransportPolicy:
    """Port, TLS mode and credentials for the servers of a destination."""

    port: int
    tls: TlsMode = "opportunistic"
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One address of one host. `preferred`: the destination has no host with a better preference."""

    host: str
    address: str
    preferred: bool = True


class Connector:
    """Opens sessions that say `hostname` in EHLO."""

    def __init__(self, hostname: str, contexts: TlsContexts, scale: float, source_ips: list[str]) -> None:
        self._hostname = hostname
        self._contexts = contexts
        self._scale = scale
        self._sources = {version: [ip for ip in source_ips if ip_address(ip).version == version] for version in (4, 6)}

    async def open(self, target: Target, policy: TransportPolicy, site: str) -> Session | Failure:
        """`site` picks the source address: the same one each time, because greylisting remembers it."""
        result = await self._attempt(target, policy, site, encrypt=policy.tls != "none")
        failed = isinstance(result, Failure) and result.kind is Kind.TLS and result.stage is Stage.STARTTLS
        if failed and policy.tls == "opportunistic":
            # RFC 7435 §3: clear text is the fallback. Credentials are not sent that way: the policy is unchanged.
            result = await self._attempt(target, policy, site, encrypt=False)
        return result

    async def _attempt(self, target: Target, policy: TransportPolicy, site: str, *, encrypt: bool) -> Session | Failure:
        session = await self._connect(target, policy.port, site)
        if isinstance(session, Failure):
            return session
        try:
            failure = await self._start(session, target, policy, encrypt=encrypt)
        except BaseException:
            session.abort()
            raise
        if failure is None and session.lost is not None:
            # The server closed right after EHLO: a failure to connect, so that this host is not tried on and on.
            failure = Failure(session.lost.kind, Stage.EHLO, reason=session.lost.reason)
        if failure is None:
            return session
        session.quit()
        return failure

    async def _connect(self, target: Target, port: int, site: str) -> Session | Failure:
        version = ip_address(target.address).version
        sources = self._sources[version]
        local = (sources[zlib.crc32(site.encode()) % len(sources)], 0) if sources else None
        session = Session(self._scale)
        with anyio.move_on_after(STAGE_SECONDS[Stage.CONNECT] * self._scale):
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: session,
                    target.address,
                    port,
                    local_addr=local,
                    family=socket.AF_INET6 if version == 6 else socket.AF_INET,
                )
            except OSError as error:
                return Failure(Kind.CONNECT, Stage.CONNECT, reason=f"{target.address}: {_text_of(error)}")
            session.peer = Peer(target.host, target.address, target.preferred)
            return session
        return Failure(Kind.CONNECT, Stage.CONNECT, reason=f"{target.address}: connection timed out")

    async def _start(
        self, session: Session, target: Target, policy: TransportPolicy, *, encrypt: bool
    ) -> Failure | None:
        greeting = await session.greeting()
        if failure := _failure_of(greeting, Stage.GREETING):
            return failure
        if failure := await self._ehlo(session):
            return failure
        if encrypt and (failure := await self._start_tls(session, target, policy)):
            return failure
        return await self._authenticate(session, policy) if policy.username else None

    async def _ehlo(self, session: Session) -> Failure | None:
        reply = await session.command(Stage.EHLO, f"EHLO {self._hostname}\r\n".encode())
        if isinstance(reply, RawReply) and reply.code in _NO_ESMTP:
            # RFC 5321 §3.2: HELO, and no extensions, for a server without EHLO.
            session.extensions = Extensions()
            reply = await session.command(Stage.EHLO, f"HELO {self._hostname}\r\n".encode())
            return _failure_of(reply, Stage.EHLO)
        if isinstance(reply, RawReply):
            session.extensions = parse_extensions(reply)
        return _failure_of(reply, Stage.EHLO)

    async def _start_tls(self, session: Session, target: Target, policy: TransportPolicy) -> Failure | None:
        tls_required = policy.tls in ("required", "verify")
        if not session.extensions.starttls:
            return Failure(Kind.TLS, Stage.STARTTLS, reason="STARTTLS is not offered") if tls_required else None
        reply = await session.command(Stage.STARTTLS, b"STARTTLS\r\n")
        if session.has_input:
            # RFC 3207 §6: input from before the handshake is not trusted.
            return Failure(Kind.INJECTED, Stage.STARTTLS, reason="the server sent input behind its reply to STARTTLS")
        if failure := _failure_of(reply, Stage.STARTTLS):
            rejected = isinstance(reply, RawReply) and reply.code >= 400 and reply.code != 421
            return None if rejected and not tls_required else failure
        return await self._handshake(session, target, policy) or await self._ehlo(session)

    async def _handshake(self, session: Session, target: Target, policy: TransportPolicy) -> Failure | None:
        seconds = STAGE_SECONDS[Stage.STARTTLS] * self._scale
        try:
            transport = await asyncio.get_running_loop().start_tls(
                session.transport,
                session,
                self._contexts.of(policy.tls),
                server_hostname=target.host,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=1.0,
            )
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; ValueError: no name for TLS
            session.abort()
            session.connection_lost(None)
            return Failure(Kind.TLS, Stage.STARTTLS, reason=f"TLS: {_text_of(error)}")
        if transport is None:
            return Failure(Kind.TLS, Stage.STARTTLS, reason="TLS: connection closed")
        session.replace_transport(transport)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        session.peer = replace(session.peer, tls=describe(tls, verified=policy.tls == "verify"))
        return None

    async def _authenticate(self, session: Session, policy: TransportPolicy) -> Failure | None:
        """RFC 4954 §4; PLAIN (RFC 4616) before LOGIN. The password goes in clear text only when the route
        says tls = "none", or to a loopback address."""
        if not session.peer.tls and policy.tls != "none" and not ip_address(session.peer.address).is_loopback:
            return Failure(Kind.TLS, Stage.AUTH, reason="credentials are not sent without TLS")
        user, password = policy.username.encode(), policy.password.encode()
        if "PLAIN" in session.extensions.auth:
            lines = [b"AUTH PLAIN " + base64.b64encode(b"\0" + user + b"\0" + password)]
        elif "LOGIN" in session.extensions.auth:
            lines = [b"AUTH LOGIN", base64.b64encode(user), base64.b64encode(password)]
        else:
            return Failure(Kind.GARBAGE, Stage.AUTH, reason="neither AUTH PLAIN nor AUTH LOGIN is offered")
        for line in lines[:-1]:
            if failure := _failure_of(await session.command(Stage.AUTH, line + b"\r\n"), Stage.AUTH, expected=3):
                return failure
        return _failure_of(await session.command(Stage.AUTH, lines[-1] + b"\r\n"), Stage.AUTH)


def _failure_of(reply: RawReply | Failure, stage: Stage, *, expected: int = 2) -> Failure | None:
    """None for a reply of the expected class."""
    if isinstance(reply, Failure):
        return reply
    if reply.code // 100 == expected:
        return None
    kind = Kind.REPLY if reply.code >= 400 else Kind.GARBAGE
    return Failure(kind, stage, reply.parsed(), "" if kind is Kind.REPLY else f"unexpected reply at {stage}")


def _text_of(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)  # asyncio's text repeats the address
    return str(error) or type(error).__name__
