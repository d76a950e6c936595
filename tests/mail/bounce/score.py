"""The score of read_report: a folder of labelled reports in, a table of hits and misses out.

Run it as `python tests/mail/bounce/score.py [folder]`. The folder holds labels.json: file name → kind, class, reply,
status. `class` takes a delay for a transient failure, as the labels do; `bounce` is stricter and asks what becomes an
event: a delay does not.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from kannon.mail.bounce import Report, ReportKind, read_report

SHARED = Path(__file__).parents[4] / "shared" / "bounces"
KINDS = {"failure": ReportKind.FAILURE, "complaint": ReportKind.COMPLAINT, "autoreply": ReportKind.AUTO_REPLY}


@dataclass
class Score:
    """Counts per question, and one line for each miss."""

    right: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    misses: list[str] = field(default_factory=list)
    false_failures: list[str] = field(default_factory=list)

    def count(self, question: str, name: str, expected: str, got: str) -> None:
        self.asked[question] = self.asked.get(question, 0) + 1
        if expected == got:
            self.right[question] = self.right.get(question, 0) + 1
        else:
            self.misses.append(f"{question:7} {name}: expected {expected}, got {got}")

    def share(self, question: str) -> float:
        return self.right.get(question, 0) / self.asked[question] if self.asked.get(question) else 1.0

    def table(self) -> str:
        rows = [f"{q:7} {self.right.get(q, 0):4} of {n:4}  {self.share(q):7.2%}" for q, n in self.asked.items()]
        return "\n".join([*rows, f"taken for a failure and none: {len(self.false_failures)}", *self.misses])


def class_of(report: Report) -> str:
    if report.kind is ReportKind.FAILURE:
        return "permanent" if report.permanent else "transient"
    return "transient" if report.kind is ReportKind.DELAYED else "not-a-failure"


def score_folder(folder: Path) -> Score:
    score = Score()
    for name, label in json.loads((folder / "labels.json").read_text()).items():
        report = read_report((folder / name).read_bytes())
        score.count("class", name, label["class"], class_of(report))
        score.count(
            "bounce", name, label["class"], class_of(report) if report.kind is not ReportKind.DELAYED else "none"
        )
        score.count("kind", name, str(KINDS.get(label["kind"], label["kind"])), str(report.kind))
        if label.get("reply"):
            score.count("reply", name, label["reply"], str(report.code))
        if label.get("status"):
            score.count("status", name, label["status"], report.enhanced_status)
        if label["kind"] != "failure" and report.kind is ReportKind.FAILURE:
            score.false_failures.append(name)
    return score


if __name__ == "__main__":
    print(score_folder(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED).table())
