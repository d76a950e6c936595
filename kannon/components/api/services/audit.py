"""kannon.admin.v1.Audit: who changed what, the newest first."""

from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import MAX_PAGE, domain_name, plain_text
from kannon.db import audit
from kannon.db.pool import Database
from kannon.errors import InvalidArgument
from kannon.pb.admin.v1 import audit_pb2 as pb
from kannon.wire.audit import to_entry

_DEFAULT_TAKE = 100
_LARGEST_ID = 2**63 - 1
_MAX_ACTION = 100


class AuditMethods:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def ListAudit(self, caller: Admin, request: pb.ListAuditRequest) -> pb.ListAuditResponse:
        if request.before > _LARGEST_ID:
            raise InvalidArgument("before", "is not the id of an entry")
        plain_text(request.action, "action", longest=_MAX_ACTION)
        entries = await audit.list_entries(
            self._db,
            before=request.before,
            take=min(request.take or _DEFAULT_TAKE, MAX_PAGE),
            domain=domain_name(request.domain) if request.domain else "",
            action=request.action,
        )
        return pb.ListAuditResponse(entries=[to_entry(entry) for entry in entries])
