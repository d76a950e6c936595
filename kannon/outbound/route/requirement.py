"""What the TLS of a host has to prove: by DANE, by MTA-STS, or nothing (RFC 7672, RFC 8461).

In: the destination's policy, a host, and the answers that gave its addresses. Out: a `TlsRequirement`, or the `Failure`
for which this host gets no mail now. TLSA records are looked up only where the MX and address records are secure, so a
destination without DNSSEC costs no query.
"""

from collections.abc import Sequence

from kannon.mail.dane import usable_records
from kannon.mail.mta_sts import StsMode, StsPolicy
from kannon.mail.tls_report import AppliedPolicy, PolicyType, ResultType, TlsResult
from kannon.mail.verdict import NO_REQUIRETLS, Stage
from kannon.outbound.client.connect import StsUse, TransportPolicy
from kannon.outbound.client.tls import NOT_VERIFIED, OPPORTUNISTIC, TlsRequirement
from kannon.outbound.route.resolver import Answer, Resolver, Status
from kannon.outbound.sts.policies import Found
from kannon.outbound.trouble import Failure, Kind


class Requirements:
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def find(
        self, policy: TransportPolicy, host: str, names: Sequence[str], addresses: Sequence[Answer]
    ) -> TlsRequirement | Failure:
        """`names`: the recipients' domain, before and after its CNAMEs. `addresses`: of the host, A and AAAA."""
        if policy.tls != "auto" and policy.tls != "dane":
            if policy.require_tls and policy.tls != "verify":
                return _not_required(host, f"tls is {policy.tls} by the configuration")
            return TlsRequirement(policy.tls)
        if policy.dane:
            by_dane = await self._by_dane(policy, host, names, addresses)
            if by_dane is not None:
                return by_dane
        if policy.tls == "dane":
            result = TlsResult(AppliedPolicy(PolicyType.TLSA, mx=(host,)), ResultType.DANE_REQUIRED, host)
            reason = f"{host} has no usable TLSA records, which sender.tls_policy requires"
            return Failure(Kind.TLS, Stage.DNS, reason=reason, host=host, enhanced=NOT_VERIFIED, results=(result,))
        return _by_sts(policy, host)

    async def _by_dane(
        self, policy: TransportPolicy, host: str, names: Sequence[str], addresses: Sequence[Answer]
    ) -> TlsRequirement | Failure | None:
        """None: the host has no TLSA records."""
        for base in await self._base_names(host, addresses):
            answer = await self._resolver.lookup(f"_{policy.port}._tcp.{base}", "TLSA")
            applied = AppliedPolicy(PolicyType.TLSA, tuple(map(str, answer.tlsa)), (host,))
            if answer.status is Status.FAILED:
                # RFC 7672 §2.1.2: without an answer the host is not used: an attacker may suppress the records.
                result = TlsResult(applied, ResultType.DNSSEC_INVALID, host, reason=answer.reason)
                return Failure(Kind.LOOKUP, Stage.DNS, reason=answer.reason, host=host, results=(result,))
            if answer.status is not Status.FOUND or not answer.secure:
                continue
            records = usable_records(answer.tlsa)
            if not records and (policy.require_tls or policy.tls == "dane"):
                return None
            # RFC 7672 §3.2.2: the TLSA base domain is the first name.
            # RFC 7672 §2.2: without a usable record TLS is required, but proves nothing.
            allowed = tuple(dict.fromkeys((base, *names)))
            return TlsRequirement("required", "dane", applied, base, records, allowed)
        return None

    async def _base_names(self, host: str, addresses: Sequence[Answer]) -> list[str]:
        """RFC 7672 §2.2.3: the names at which TLSA records may be, in order: the end of a secure chain of CNAMEs, and
        the host's own name, for which its first CNAME has to be secure."""
        found = [each for each in addresses if each.status is Status.FOUND]
        if not found:
            return []
        expanded = found[0].name or host
        if all(each.secure for each in found):
            return list(dict.fromkeys((expanded, host)))
        if expanded != host:
            alias = await self._resolver.lookup(host, "CNAME")
            if alias.status is Status.FOUND and alias.secure:
                return [host]
        return []


def _by_sts(policy: TransportPolicy, host: str) -> TlsRequirement | Failure:
    sts = policy.sts
    if sts is None:
        if policy.require_tls and not policy.dane:
            return _not_required(host, "its MX record is protected by neither DNSSEC nor MTA-STS")
        return TlsRequirement("verify") if policy.require_tls else OPPORTUNISTIC
    if host not in sts.hosts:
        # RFC 8461 §4.1: the next host may be one of the policy.
        reason = f"{host} is not in the MTA-STS policy of {sts.domain}"
        result = TlsResult(sts.policy, ResultType.VALIDATION_FAILURE, host, reason=reason)
        if sts.enforced or policy.require_tls:
            return Failure(Kind.TLS, Stage.DNS, reason=reason, host=host, enhanced=NOT_VERIFIED, results=(result,))
        return TlsRequirement(policy=sts.policy)
    return TlsRequirement("verify", "mta-sts", sts.policy, testing=not (sts.enforced or policy.require_tls))


def _not_required(host: str, why: str) -> Failure:
    """RFC 8689 §4.2.1: neither the name of the server nor its certificate is known to be right."""
    reason = f"REQUIRETLS is asked for, but {host} cannot be verified: {why}"
    return Failure(Kind.TLS, Stage.DNS, reason=reason, host=host, enhanced=NO_REQUIRETLS)


def sts_use(policy: StsPolicy | None, domain: str, hosts: Sequence[str]) -> StsUse | None:
    """What a policy says about these hosts; None: nothing."""
    if policy is None or policy.mode is StsMode.NONE:
        return None
    allowed = frozenset(host for host in hosts if policy.allows(host))
    applied = AppliedPolicy(PolicyType.STS, policy.lines, policy.mx)
    return StsUse(policy.mode is StsMode.ENFORCE, allowed, domain, applied)


def sts_problem(found: Found, domain: str) -> TlsResult | None:
    if found.problem is None:
        return None
    policy = found.policy
    kind = PolicyType.STS if policy is not None else PolicyType.NONE
    applied = AppliedPolicy(kind, policy.lines, policy.mx) if policy is not None else AppliedPolicy(kind)
    return TlsResult(applied, found.problem.result, f"mta-sts.{domain}", reason=str(found.problem))
