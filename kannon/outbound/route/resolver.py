"""A caching DNS resolver: callers with the same question share one query; an answer is kept for its TTL.

In: an absolute name and a type. Out: an `Answer`, always; an unreachable name server is a `FAILED` answer, not an
exception. `routing` decides what answers mean for mail. An answer is secure when a name server that may be believed
says that DNSSEC proves it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from enum import Enum, auto
from ipaddress import ip_address
from typing import Any, Literal, cast

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TLSA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.resolver

from kannon.config import Dns, split_listen
from kannon.mail.dane import Tlsa
from kannon.outbound.route.dnspython_private import accept_any_tlsa

QUERY_SECONDS = 3.0  # one server, one try
LIFETIME_SECONDS = 15.0
MAX_TTL_SECONDS = 86400.0
MIN_TTL_SECONDS = 1.0  # a TTL of 0 still means one query for simultaneous callers
NEGATIVE_TTL_SECONDS = 60.0
NO_POLICY_TTL_SECONDS = 900.0  # TLSA, TXT: most domains have none, and nothing waits for one to appear
FAILED_TTL_SECONDS = 5.0
MAX_CNAMES = 8
MAX_ENTRIES = 50_000
EDNS_PAYLOAD = 1232  # passes without fragments (dnsflagday.net/2020)

RecordType = Literal["MX", "A", "AAAA", "TLSA", "TXT", "CNAME"]


class Status(Enum):
    FOUND = auto()
    NO_DATA = auto()  # the name exists, without records of this type
    NO_NAME = auto()  # NXDOMAIN
    FAILED = auto()  # SERVFAIL, time-out, malformed answer, CNAME loop: try again later


@dataclass(frozen=True, slots=True)
class Answer:
    """`records`: (preference, value) pairs, the preference 0 unless it is an MX; "" as the value of an MX is the root,
    `.`. `name`: the end of the chain of CNAMEs. `secure`: by DNSSEC, every CNAME too."""

    status: Status
    records: tuple[tuple[int, str], ...] = ()
    reason: str = ""
    expires: float = 0.0  # on the monotonic clock
    tlsa: tuple[Tlsa, ...] = ()
    name: str = ""
    secure: bool = False


Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a task in its owner's task group."""


class Resolver:
    """Without name servers in `config` it asks the system's. `spawn` starts the queries, so a caller that is cancelled
    does not cancel the query of others."""

    def __init__(self, config: Dns, spawn: Spawn, *, scale: float = 1.0) -> None:
        accept_any_tlsa()
        self._config = config
        self._spawn = spawn
        self._scale = scale
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._answers: dict[tuple[str, RecordType], Answer] = {}
        self._pending: dict[tuple[str, RecordType], asyncio.Future[Answer]] = {}
        self.queries = 0

    def known(self, name: str, kind: RecordType) -> Answer | None:
        answer = self._answers.get((name, kind))
        return answer if answer is not None and answer.expires > time.monotonic() else None

    async def lookup(self, name: str, kind: RecordType) -> Answer:
        """Never raises, but for cancellation."""
        known = self.known(name, kind)
        return await asyncio.shield(self._begin(name, kind)) if known is None else known

    def prepare(self, name: str, kind: RecordType) -> None:
        """Starts the query of a look-up that follows."""
        if self.known(name, kind) is None:
            self._begin(name, kind)

    def _begin(self, name: str, kind: RecordType) -> "asyncio.Future[Answer]":
        key = (name, kind)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = asyncio.get_running_loop().create_future()
            self._spawn(self._ask(key, pending))
        return pending

    async def _ask(self, key: tuple[str, RecordType], pending: "asyncio.Future[Answer]") -> None:
        answer = Answer(Status.FAILED, reason="look-up was interrupted")
        try:
            answer = await self._resolve(*key)
            self._keep(key, answer)
        finally:
            del self._pending[key]
            if not pending.done():
                pending.set_result(answer)

    def _keep(self, key: tuple[str, RecordType], answer: Answer) -> None:
        if len(self._answers) >= MAX_ENTRIES:
            now = time.monotonic()
            fresh = {k: a for k, a in self._answers.items() if a.expires > now}
            # Still full: drop the older half. A look-up costs less than unbounded memory.
            self._answers = dict(list(fresh.items())[-MAX_ENTRIES // 2 :])
        self._answers[key] = answer

    async def _resolve(self, name: str, kind: RecordType) -> Answer:
        target = name
        hops = 0
        secure = True
        while True:
            answer = await self._query(target, kind)
            secure = secure and answer.secure
            if not isinstance(answer, _Alias):
                return answer if secure == answer.secure else replace(answer, secure=secure)
            hops += answer.hops
            if hops > MAX_CNAMES:
                return _failed(f"more than {MAX_CNAMES} CNAMEs from {name}")
            target = answer.target

    async def _query(self, name: str, kind: RecordType) -> "Answer | _Alias":
        """The one table from dnspython's results to answers."""
        self.queries += 1
        try:
            if self._resolver is None:
                self._resolver = _make_resolver(self._config.nameservers, self._scale)
            result = await self._resolver.resolve(
                dns.name.from_text(name, dns.name.root), kind, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN as error:
            return Answer(Status.NO_NAME, expires=_expires(_negative_ttl(error, kind)))
        except dns.resolver.LifetimeTimeout:
            return _failed(f"name servers did not answer for {name} {kind}")
        except dns.resolver.NoNameservers as error:
            return _failed(f"name servers failed for {name} {kind}: {_first_error(error)}")
        except (dns.exception.DNSException, OSError, ValueError) as error:  # YXDOMAIN or a bad name
            return _failed(f"{name} {kind}: {str(error) or type(error).__name__}")
        return _read(result, kind, secure=self._is_secure(result))

    def _is_secure(self, result: dns.resolver.Answer) -> bool:
        """RFC 4035 §4.9.3: the AD bit counts only from a name server, and over a way to it, that may be believed."""
        if not result.response.flags & dns.flags.AD:
            return False
        return self._config.trust_ad or ip_address(str(result.nameserver).partition("%")[0]).is_loopback


@dataclass(frozen=True, slots=True)
class _Alias:
    """A CNAME; the server gave no answer for its target."""

    target: str
    hops: int
    secure: bool


def _read(result: dns.resolver.Answer, kind: RecordType, *, secure: bool) -> Answer | _Alias:
    chain = result.chaining_result
    name = chain.canonical_name.to_text(omit_final_dot=True).lower()
    if len(chain.cnames) > MAX_CNAMES:
        return _failed(f"more than {MAX_CNAMES} CNAMEs")
    if result.rrset is None:
        if chain.cnames:
            return _Alias(name, len(chain.cnames), secure)
        expires = _expires(min(chain.minimum_ttl, _longest_negative(kind)))
        return Answer(Status.NO_DATA, expires=expires, name=name, secure=secure)
    expires = _expires(min(chain.minimum_ttl, MAX_TTL_SECONDS))
    if kind == "TLSA":
        tlsa = tuple(_tlsa(cast(dns.rdtypes.ANY.TLSA.TLSA, each)) for each in result.rrset)
        return Answer(Status.FOUND, expires=expires, tlsa=tlsa, name=name, secure=secure)
    records = tuple(_record(each, kind) for each in result.rrset)
    return Answer(Status.FOUND, records, expires=expires, name=name, secure=secure)


def _record(record: dns.rdata.Rdata, kind: RecordType) -> tuple[int, str]:
    if kind == "MX":
        mx = cast(dns.rdtypes.ANY.MX.MX, record)
        return mx.preference, mx.exchange.to_text(omit_final_dot=True).rstrip(".").lower()
    if kind == "TXT":
        return 0, b"".join(cast(dns.rdtypes.ANY.TXT.TXT, record).strings).decode("utf-8", "replace")
    if kind == "CNAME":
        return 0, record.to_text()
    return 0, cast(dns.rdtypes.IN.A.A, record).address


def _tlsa(record: dns.rdtypes.ANY.TLSA.TLSA) -> Tlsa:
    return Tlsa(record.usage, record.selector, record.mtype, record.cert)


def _longest_negative(kind: RecordType) -> float:
    return NO_POLICY_TTL_SECONDS if kind in ("TLSA", "TXT") else NEGATIVE_TTL_SECONDS


def _failed(reason: str) -> Answer:
    return Answer(Status.FAILED, reason=reason[:300], expires=_expires(FAILED_TTL_SECONDS))


def _expires(ttl: float) -> float:
    return time.monotonic() + max(MIN_TTL_SECONDS, ttl)


def _negative_ttl(error: dns.resolver.NXDOMAIN, kind: RecordType) -> float:
    """RFC 2308 §5: the SOA's TTL, which `minimum_ttl` includes."""
    responses: dict[dns.name.Name, dns.message.QueryMessage] = error.kwargs["responses"]
    return min([*(r.resolve_chaining().minimum_ttl for r in responses.values()), _longest_negative(kind)])


def _first_error(error: dns.resolver.NoNameservers) -> str:
    errors = error.kwargs.get("errors") or []
    return str(errors[0][3]) if errors else "no usable server"


def _make_resolver(nameservers: list[str], scale: float) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    if nameservers:
        resolver.nameservers = [_nameserver(each) for each in nameservers]
    resolver.timeout = QUERY_SECONDS * scale
    resolver.lifetime = LIFETIME_SECONDS * scale
    resolver.use_edns(0, 0, EDNS_PAYLOAD)
    resolver.flags = dns.flags.RD | dns.flags.AD  # RFC 6840 §5.7: asks for the AD bit of the response
    return resolver


def _nameserver(text: str) -> dns.nameserver.Nameserver:
    host, port = split_listen(text) if text.startswith("[") or text.count(":") == 1 else (text, 53)
    return dns.nameserver.Do53Nameserver(host, port)
