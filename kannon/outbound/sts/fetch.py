"""Fetches the policy of a domain from its policy host (RFC 8461 §3.3).

In: a domain. Out: a `StsPolicy`. Raises FetchFailed.
"""

import ssl

from kannon.https_client import HttpsError, Request, call
from kannon.mail.mta_sts import MAX_POLICY_BYTES, PolicyInvalid, StsPolicy, parse_policy
from kannon.mail.tls_report import ResultType
from kannon.outbound.route.addresses import refusal
from kannon.outbound.route.resolver import Resolver, Status

FETCH_SECONDS = 60.0  # RFC 8461 §3.3: a time-out of one minute is suggested
PORT = 443
MAX_ADDRESSES = 3


class FetchFailed(Exception):
    """`result` as TLS-RPT counts it."""

    def __init__(self, reason: str, result: ResultType) -> None:
        super().__init__(reason)
        self.result = result


class Fetcher:
    """`public_only`: the policy host must not be in the internal network."""

    def __init__(self, resolver: Resolver, context: ssl.SSLContext, *, public_only: bool, scale: float) -> None:
        self._resolver = resolver
        self._context = context
        self._public_only = public_only
        self._seconds = FETCH_SECONDS * scale

    async def fetch(self, domain: str) -> StsPolicy:
        host = f"mta-sts.{domain}"
        request = Request(host, "/.well-known/mta-sts.txt", port=PORT)
        failure = FetchFailed(f"{host} has no public address", ResultType.FETCH_ERROR)
        for address in (await self._addresses(host))[:MAX_ADDRESSES]:
            try:
                response = await call(
                    request, address, self._context, max_bytes=MAX_POLICY_BYTES, seconds=self._seconds
                )
            except HttpsError as error:
                result = ResultType.WEBPKI_INVALID if error.certificate else ResultType.FETCH_ERROR
                failure = FetchFailed(str(error), result)
                continue
            # RFC 8461 §3.3: redirects are not followed, and the status is 200.
            if response.status != 200:
                raise FetchFailed(f"{host} answered with status {response.status}", ResultType.FETCH_ERROR)
            if response.content_type != "text/plain":  # RFC 8461 §3.2
                raise FetchFailed(f"{host} served {response.content_type or 'no type'}", ResultType.POLICY_INVALID)
            try:
                return parse_policy(response.body)
            except PolicyInvalid as error:
                raise FetchFailed(f"{host}: {error}", ResultType.POLICY_INVALID) from None
        raise failure

    async def _addresses(self, host: str) -> list[str]:
        self._resolver.prepare(host, "AAAA")
        answers = [await self._resolver.lookup(host, "A")]
        if not answers[0].records:
            answers.append(await self._resolver.lookup(host, "AAAA"))
        if all(answer.status is Status.FAILED for answer in answers):
            raise FetchFailed(answers[0].reason, ResultType.FETCH_ERROR)
        found = [address for answer in answers for _, address in answer.records]
        return [each for each in found if not (self._public_only and refusal(each))]
