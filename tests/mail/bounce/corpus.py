"""Mails to a bounce address in the forms of many mail servers and people.

`corpus/labels.json` has the expected result for each. The text is our own, the forms are those of the servers.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from kannon.mail.bounce import ReportKind

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Sample:
    name: str
    raw: bytes
    kind: ReportKind
    permanent: bool
    code: int


def load_corpus() -> list[Sample]:
    labels = json.loads((FOLDER / "labels.json").read_text())
    return [
        Sample(name, (FOLDER / name).read_bytes(), ReportKind(label["kind"]), label["permanent"], label["code"])
        for name, label in labels.items()
    ]


CORPUS = load_corpus()
