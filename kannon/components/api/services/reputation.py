"""kannon.admin.v1.Reputation: when the guard pauses batches of a domain, and what reports say about its mail.

In: requests of the administrator. Out: the rule in force and what the domain has instead of the configuration; sums of
DMARC and TLS reports, explained.
"""

from datetime import UTC, datetime, timedelta

import structlog

from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import MAX_PAGE, domain_name, found
from kannon.db.domains import find_domain
from kannon.db.guard import find_guard, update_guard
from kannon.db.pool import Database
from kannon.db.reports import find_reports
from kannon.errors import InvalidArgument
from kannon.mail.guard import GuardRule
from kannon.mail.reports.explain import explain
from kannon.pb.admin.v1 import reputation_pb2 as pb
from kannon.wire.events import timestamp
from kannon.wire.reputation import parse_overrides, to_guard, to_overrides, to_source, to_tls_summary
from kannon.wire.times import optional_time

_USUAL_SPAN = timedelta(days=30)
_USUAL_TAKE = 100
log = structlog.get_logger(__name__)


class ReputationMethods:
    """`rule` as configured."""

    def __init__(self, db: Database, rule: GuardRule) -> None:
        self._db = db
        self._rule = rule

    async def GetGuard(self, caller: Admin, request: pb.GetGuardRequest) -> pb.GetGuardResponse:
        domain = domain_name(request.domain)
        overrides = found(await find_guard(self._db, domain), _no_domain(domain))
        return pb.GetGuardResponse(guard=to_guard(self._rule.override(overrides)), overrides=to_overrides(overrides))

    async def SetGuard(self, caller: Admin, request: pb.SetGuardRequest) -> pb.SetGuardResponse:
        domain = domain_name(request.domain)
        wanted = parse_overrides(request.overrides)
        for field in ("dead_percent", "complaint_percent"):
            percent = getattr(wanted, field)
            if percent is not None and not 0 <= percent <= 100:  # also false of NaN
                raise InvalidArgument(f"overrides.{field}", "must be from 0 to 100")
        overrides = found(await update_guard(self._db, domain, wanted), _no_domain(domain))
        rule = self._rule.override(overrides)
        log.info(
            "guard of a domain set",
            domain=domain,
            enabled=rule.enabled,
            dead_percent=rule.dead_percent,
            complaint_percent=rule.complaint_percent,
            by=caller.attribution,
        )
        return pb.SetGuardResponse(guard=to_guard(rule), overrides=to_overrides(overrides))

    async def GetReports(self, caller: Admin, request: pb.GetReportsRequest) -> pb.GetReportsResponse:
        domain = domain_name(request.domain)
        to_time = optional_time(request, "to_date") or datetime.now(UTC)
        from_time = optional_time(request, "from_date") or to_time - _USUAL_SPAN
        if from_time > to_time:
            raise InvalidArgument("from_date", "is after to_date")
        found(await find_domain(self._db, domain), _no_domain(domain))
        take = min(request.take or _USUAL_TAKE, MAX_PAGE)
        reports = await find_reports(self._db, domain, from_time.date(), to_time.date(), take=take)
        totals = reports.totals
        return pb.GetReportsResponse(
            dmarc=pb.DmarcSummary(
                mails=totals.mails,
                aligned=totals.aligned,
                dkim=totals.dkim,
                spf=totals.spf,
                quarantined=totals.quarantined,
                rejected=totals.rejected,
                source_count=totals.sources,
                sources=[to_source(each) for each in explain(reports.dmarc, domain)],
            ),
            tls=to_tls_summary(reports.tls),
            reporters=[
                pb.Reporter(kind=each.kind, name=each.reporter, reports=each.reports, last_at=timestamp(each.last))
                for each in reports.reporters
            ],
        )


def _no_domain(domain: str) -> str:
    return f'domain: no domain "{domain}"'
