"""Metrics that remember single calls, answers and sessions."""

from dataclasses import dataclass, field

from kannon.metrics.names import SessionResult
from kannon.metrics.null_metrics import NullMetrics


@dataclass
class RecordedMetrics(NullMetrics):
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Method and status."""
    answers: list[int] = field(default_factory=list)
    sessions: list[SessionResult] = field(default_factory=list)

    def called(self, method: str, status: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((method, status))

    def answered(self, status: int) -> None:
        self.answers.append(status)

    def session_ended(self, result: SessionResult) -> None:
        self.sessions.append(result)
