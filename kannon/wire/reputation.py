"""Guard and received reports ↔ the messages of kannon.admin.v1.Reputation."""

from collections.abc import Sequence

from kannon.mail.guard import GuardOverrides, GuardRule
from kannon.mail.reports.explain import SourceSummary
from kannon.mail.reports.report import TlsRecord
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


def to_source(source: SourceSummary) -> pb.DmarcSource:
    return pb.DmarcSource(
        address=source.source,
        mails=source.mails,
        aligned=source.aligned,
        dkim=source.dkim,
        spf=source.spf,
        why=source.why,
    )


def to_tls_summary(records: Sequence[TlsRecord]) -> pb.TlsSummary:
    failures = [each for each in records if each.failure]
    return pb.TlsSummary(
        sessions=sum(each.sessions for each in records),
        failed=sum(each.sessions for each in failures),
        failures=[
            pb.TlsFailure(
                type=each.failure,
                policy=each.policy,
                host=each.host,
                sender=each.sender,
                reason=each.reason,
                sessions=each.sessions,
            )
            for each in failures
        ],
    )
