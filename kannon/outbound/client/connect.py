"""Connects a session and makes it ready for mail: connect, greeting, EHLO, STARTTLS, AUTH.

In: host, address, TLS requirement and `TransportPolicy`. Out: a `Session`, or the `Failure` that stopped it; both have
the results of TLS. A handshake that fails under opportunistic TLS is followed by one more connection in clear text,
within the same attempt. Bytes behind the reply to STARTTLS end the connection: they may be injected.
"""

import asyncio
import base64
import os
import socket
import ssl
import zlib
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Literal, TypeGuard

import anyio

from kannon.mail.tls_report import AppliedPolicy, ResultType, TlsResult
from kannon.mail.verdict import Stage
from kannon.outbound.client.replies import Extensions, RawReply, parse_extensions
from kannon.outbound.client.session import STAGE_SECONDS, Peer, Session
from kannon.outbound.client.tls import (
    NOT_OFFERED,
    NOT_VERIFIED,
    OPPORTUNISTIC,
    TlsContexts,
    TlsMode,
    TlsRequirement,
    check_peer,
    describe,
    result_of,
)
from kannon.outbound.trouble import Failure, Kind

HopTls = TlsMode | Literal["auto", "dane"]

_NO_ESMTP = frozenset({500, 502})  # RFC 5321 §4.2.4: command not recognized, or not implemented


@dataclass(frozen=True, slots=True)
class StsUse:
    """The part of an MTA-STS policy that decides about the hosts of a destination: equal for many domains. `hosts`:
    those that the policy allows."""

    enforced: bool
    hosts: frozenset[str]
    domain: str = field(compare=False)
    policy: AppliedPolicy = field(compare=False)


@dataclass(frozen=True, slots=True)
class TransportPolicy:
    """Port, TLS and credentials for the servers of a destination.

    `tls` "auto": by DANE where `dane` (the MX records are secure) and the host has TLSA records, by `sts` otherwise,
    opportunistic without both; "dane": by DANE only. `require_tls`: for mail that may not go to a server that is not
    authenticated (RFC 8689).
    """

    port: int
    tls: HopTls = "opportunistic"
    username: str = ""
    password: str = field(default="", repr=False)
    dane: bool = False
    sts: StsUse | None = None
    require_tls: bool = False

    @property
    def is_published(self) -> bool:
        """The recipients' domain demands something of TLS, or may do so."""
        return self.tls == "auto" and (self.dane or self.sts is not None)

    def __str__(self) -> str:
        """As operators read it: the configured mode, or what the recipients' domain publishes."""
        shown: str = self.tls
        if shown == "auto":
            by_sts = f"mta-sts {'enforce' if self.sts.enforced else 'testing'}" if self.sts else "opportunistic"
            shown = f"dane, {by_sts}" if self.dane else by_sts
        return f"{shown}, requiretls" if self.require_tls else shown


@dataclass(frozen=True, slots=True)
class Target:
    """One address of one host. `preferred`: the destination has no host with a better preference."""

    host: str
    address: str
    preferred: bool = True
    tls: TlsRequirement = OPPORTUNISTIC


class Connector:
    """Opens sessions that say `hostname` in EHLO."""

    def __init__(self, hostname: str, contexts: TlsContexts, scale: float, source_ips: list[str]) -> None:
        self._hostname = hostname
        self._contexts = contexts
        self._scale = scale
        self._sources = tuple(source_ips)

    async def open(
        self, target: Target, policy: TransportPolicy, site: str, sources: tuple[str, ...] = ()
    ) -> Session | Failure:
        """`site` picks the source address: the same one each time, because greylisting remembers it. `sources` empty:
        as configured."""
        source = _pick_source(target, site, sources or self._sources, strict=bool(sources))
        if isinstance(source, Failure):
            return source
        result = await self._attempt(target, policy, source, encrypt=target.tls.mode != "none")
        if _is_tls(result) and target.tls.testing:
            # RFC 8461 §5: in testing mode, mail goes also where the policy is not kept.
            before = result.results
            target = replace(target, tls=replace(OPPORTUNISTIC, policy=target.tls.policy))
            result = _with(before, await self._attempt(target, policy, source, encrypt=True), only=True)
        if _is_tls(result) and target.tls.mode == "opportunistic":
            # RFC 7435 §3: clear text is the fallback. Credentials are not sent that way: the policy is unchanged.
            result = _with(result.results, await self._attempt(target, policy, source, encrypt=False), only=True)
        return result

    async def _attempt(
        self, target: Target, policy: TransportPolicy, source: str, *, encrypt: bool
    ) -> Session | Failure:
        session = await self._connect(target, policy.port, source)
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
            if encrypt:
                failed = None if session.peer.tls else ResultType.STARTTLS
                session.results = (_result(session, target, failed, ""),)
            return session
        if failure.result is not None:
            failure = replace(failure, results=(_result(session, target, failure.result, failure.reason),))
        session.quit()
        return failure

    async def _connect(self, target: Target, port: int, source: str) -> Session | Failure:
        session = Session(self._scale)
        with anyio.move_on_after(STAGE_SECONDS[Stage.CONNECT] * self._scale):
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: session,
                    target.address,
                    port,
                    local_addr=(source, 0) if source else None,
                    family=socket.AF_INET6 if ":" in target.address else socket.AF_INET,
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
        if encrypt and (failure := await self._start_tls(session, target)):
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

    async def _start_tls(self, session: Session, target: Target) -> Failure | None:
        if not session.extensions.starttls:
            return _no_tls("STARTTLS is not offered") if target.tls.is_mandatory else None
        reply = await session.command(Stage.STARTTLS, b"STARTTLS\r\n")
        if session.has_input:
            # RFC 3207 §6: input from before the handshake is not trusted.
            return Failure(Kind.INJECTED, Stage.STARTTLS, reason="the server sent input behind its reply to STARTTLS")
        if failure := _failure_of(reply, Stage.STARTTLS):
            rejected = isinstance(reply, RawReply) and reply.code >= 400 and reply.code != 421
            if not rejected:
                return failure
            return replace(failure, result=ResultType.STARTTLS) if target.tls.is_mandatory else None
        return await self._handshake(session, target) or await self._ehlo(session)

    async def _handshake(self, session: Session, target: Target) -> Failure | None:
        seconds = STAGE_SECONDS[Stage.STARTTLS] * self._scale
        try:
            transport = await asyncio.get_running_loop().start_tls(
                session.transport,
                session,
                self._contexts.of(target.tls),
                server_hostname=target.tls.server_name or target.host,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=1.0,
            )
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; ValueError: no name for TLS
            session.abort()
            session.connection_lost(None)
            return _no_handshake(_text_of(error), result_of(error))
        if transport is None:
            return _no_handshake("connection closed", ResultType.VALIDATION_FAILURE)
        session.replace_transport(transport)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        if untrusted := check_peer(tls, target.tls):
            return _no_handshake(untrusted.reason, untrusted.result)
        session.peer = replace(session.peer, tls=describe(tls, target.tls))
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


def _is_tls(result: Session | Failure) -> TypeGuard[Failure]:
    return isinstance(result, Failure) and result.kind is Kind.TLS and result.stage is Stage.STARTTLS


def _no_tls(reason: str) -> Failure:
    return Failure(Kind.TLS, Stage.STARTTLS, reason=reason, enhanced=NOT_OFFERED, result=ResultType.STARTTLS)


def _no_handshake(reason: str, result: ResultType) -> Failure:
    return Failure(Kind.TLS, Stage.STARTTLS, reason=f"TLS: {reason}", enhanced=NOT_VERIFIED, result=result)


def _result(session: Session, target: Target, failure: ResultType | None, reason: str) -> TlsResult:
    local = session.transport.get_extra_info("sockname") if session.connected else None
    local_address = str(local[0]) if local else ""
    return TlsResult(target.tls.policy, failure, target.host, target.address, local_address, reason)


def _with(results: tuple[TlsResult, ...], outcome: Session | Failure, *, only: bool) -> Session | Failure:
    """`results` come before those of `outcome`, or replace them: one connection of several to a host is reported."""
    results = results if only else results + outcome.results
    if isinstance(outcome, Failure):
        return replace(outcome, results=results)
    outcome.results = results
    return outcome


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


def _pick_source(target: Target, site: str, sources: tuple[str, ...], *, strict: bool) -> str | Failure:
    """Empty: the system chooses. `strict`: no other addresses than these."""
    version = ip_address(target.address).version
    usable = [each for each in sources if ip_address(each).version == version]
    if usable:
        return usable[zlib.crc32(site.encode()) % len(usable)]
    if strict:
        return Failure(Kind.CONNECT, Stage.CONNECT, reason=f"{target.address}: no IPv{version} address to connect from")
    return ""
