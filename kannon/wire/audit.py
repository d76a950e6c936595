"""Entries of the audit log, as protobuf."""

from kannon.mail.audit import AuditEntry
from kannon.pb.admin.v1 import audit_pb2 as pb
from kannon.wire.events import timestamp


def to_entry(entry: AuditEntry) -> pb.AuditEntry:
    change = entry.change
    return pb.AuditEntry(
        id=entry.id,
        at=timestamp(entry.at),
        way=change.way,
        actor=change.actor,
        attribution=change.attribution,
        peer=change.peer,
        action=change.action,
        domain=change.domain,
        subject=change.subject,
        done=entry.done,
    )
