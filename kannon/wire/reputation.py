"""GuardRule, GuardOverrides ↔ the messages of kannon.admin.v1.Reputation."""

from kannon.mail.guard import GuardOverrides, GuardRule
from kannon.pb.admin.v1 import reputation_pb2 as pb


def to_guard(rule: GuardRule) -> pb.Guard:
    return pb.Guard(
        enabled=rule.enabled,
        after_outcomes=rule.after_outcomes,
        dead_percent=rule.dead_percent,
        after_delivered=rule.after_delivered,
        complaint_percent=rule.complaint_percent,
    )


def to_overrides(overrides: GuardOverrides) -> pb.GuardOverrides:
    return pb.GuardOverrides(
        enabled=overrides.enabled,
        dead_percent=overrides.dead_percent,
        complaint_percent=overrides.complaint_percent,
    )


def parse_overrides(message: pb.GuardOverrides) -> GuardOverrides:
    return GuardOverrides(
        enabled=message.enabled if message.HasField("enabled") else None,
        dead_percent=message.dead_percent if message.HasField("dead_percent") else None,
        complaint_percent=message.complaint_percent if message.HasField("complaint_percent") else None,
    )
