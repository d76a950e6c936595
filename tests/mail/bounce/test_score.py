"""read_report against labelled reports: the shared folder beside this project, if it exists, and flufl.bounce's."""

import json
from pathlib import Path

import pytest

from kannon.mail.bounce import ReportKind, read_report
from tests.mail.bounce.score import SHARED, score_folder

FLUFL = Path(__file__).parent / "flufl"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the labelled reports are not beside this project")
def test_classes_codes_and_no_false_failures() -> None:
    score = score_folder(SHARED)
    assert score.asked["class"] >= 200, "the folder is there but nearly empty"
    assert score.share("class") >= 0.95, score.table()
    assert score.share("bounce") >= 0.95, score.table()
    assert score.share("reply") >= 0.95, score.table()
    assert score.share("status") >= 0.95, score.table()
    assert score.false_failures == []


def test_messages_of_flufl_bounce() -> None:
    """flufl.bounce's own messages: its permanent failures are failures, its temporary ones are not."""
    labels: dict[str, dict[str, list[str]]] = json.loads((FLUFL / "labels.json").read_text())
    wrong = []
    recipients = 0
    for name, label in labels.items():
        report = read_report((FLUFL / name).read_bytes())
        expected = ReportKind.FAILURE if label["permanent"] else ReportKind.DELAYED
        if report.kind is not expected:
            wrong.append((name, report.kind))
        known = {address.lower() for address in label["permanent"] + label["temporary"]}
        recipients += report.recipient.lower() in known
    assert wrong == []
    assert recipients >= 0.85 * len(labels)


def test_ambiguous_messages() -> None:
    assert read_report((FLUFL / "groupwise_03.txt").read_bytes()).kind is not ReportKind.FAILURE
    assert read_report((FLUFL / "qmail_08.txt").read_bytes()).kind is ReportKind.AUTO_REPLY
