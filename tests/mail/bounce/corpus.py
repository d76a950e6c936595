"""Letters that come to a bounce address, written after the manners of many mail servers and people.

`letters/labels.json` says what the reader must make of each. The lines are ours; the forms are those the servers are
known for.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from kannon.mail.bounce import ReportKind

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Letter:
    name: str
    raw: bytes
    kind: ReportKind
    permanent: bool
    code: int


def load_letters() -> list[Letter]:
    labels = json.loads((FOLDER / "labels.json").read_text())
    return [
        Letter(name, (FOLDER / name).read_bytes(), ReportKind(label["kind"]), label["permanent"], label["code"])
        for name, label in labels.items()
    ]


LETTERS = load_letters()
