"""Tables at a terminal, totals, and relative times."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from kannon.cli.output import Total, relative_time
from kannon.cli.table import print_table, prose

ID = "msg_0123456789abcdefghijklmn@a-long-name.example.com"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def drawn(columns: list[str], rows: list[list[str]], width: int) -> list[str]:
    out = io.StringIO()
    print_table(Console(file=out, width=width), columns, rows)
    return out.getvalue().splitlines()


def test_prose_wraps_and_all_else_stays_whole() -> None:
    columns = ["created", "message", prose("subject"), "state"]
    rows = [["now", ID, "one two three four five six seven", "paused"], ["now", "m", "", ""]]
    assert drawn(columns, rows, 200)[1] == f"now      {ID}  one two three four five six seven  paused"
    assert drawn(columns, rows, 40) == [
        "created  subject                  state",
        "now      one two three four five  paused",
        "         six seven",
        f"  message: {ID}",
        "now",
        "  message: m",
    ]


def test_a_value_longer_than_the_terminal_is_one_line() -> None:
    record = "v=DKIM1; k=rsa; p=" + "x" * 400
    assert drawn(["name", "value"], [["kannon._domainkey", record]], 80) == [
        "name",
        "kannon._domainkey",
        f"  value: {record}",
    ]
    assert drawn(["", ""], [["dkim p=", "x" * 400]], 80)[-1].endswith("x" * 400)


def test_wide_characters_keep_the_columns() -> None:
    lines = drawn([prose("subject"), "n"], [["日本語", "1"], ["abc", "2"]], 80)
    assert lines == ["subject  n", "日本語   1", "abc      2"]


@pytest.mark.parametrize(
    ("total", "shown", "text"),
    [
        (Total("batch", "batches"), 0, "no batches"),
        (Total("batch", "batches"), 1, "1 batch"),
        (Total("batch", "batches", 2), 2, "2 batches"),
        (Total("batch", "batches", 1234), 20, "20 of 1,234 batches"),
        (Total("mail", "mails", 10_000, 10_000), 20, "20 of 10,000 or more mails"),
        (Total("mail", "mails", 0), 0, "no mails"),
    ],
)
def test_totals(total: Total, shown: int, text: str) -> None:
    assert total.text(shown) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "now"),
        (-5, "5 s ago"),
        (90, "in 1 min"),
        (-59.6, "1 min ago"),
        (-7200, "2 h ago"),
        (86400 * 3, "in 3 d"),
        (-86400 * 20, "2026-01-11"),
    ],
)
def test_relative_times(seconds: float, text: str) -> None:
    assert relative_time(NOW + timedelta(seconds=seconds), NOW) == text
