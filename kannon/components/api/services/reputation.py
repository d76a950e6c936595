"""kannon.admin.v1.Reputation: when the guard pauses batches of a domain.

In: requests of the administrator. Out: the rule in force and what the domain has instead of the configuration.
"""

import structlog

from kannon.components.api.authenticator import Admin
from kannon.components.api.services.arguments import domain_name, found
from kannon.db.guard import find_guard, update_guard
from kannon.db.pool import Database
from kannon.errors import InvalidArgument
from kannon.mail.guard import GuardRule
from kannon.pb.admin.v1 import reputation_pb2 as pb
from kannon.wire.reputation import parse_overrides, to_guard, to_overrides

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


def _no_domain(domain: str) -> str:
    return f'domain: no domain "{domain}"'
