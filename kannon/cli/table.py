"""A table on a terminal in which no id, address or DNS record is ever cut or broken.

In: columns, rows of text, the width of the terminal. Out: lines. Prose wraps inside its column. Where the other columns
do not fit beside it, the widest of them follow below their row, one a line and whole: the terminal itself wraps a value
that is longer than the line, so that it can be copied in one piece.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_GAP = 2
_PROSE_WIDTH = 16  # of a prose column, before another column makes room for it
_INDENT = "  "
_STYLES = {
    **dict.fromkeys(("bounced", "failed", "rejected", "complained", "cancelled", "wrong", "missing", "bad"), "red"),
    **dict.fromkeys(("error", "deferred", "paused", "look-up failed", "unknown", "warn"), "yellow"),
    **dict.fromkeys(("delivered", "good"), "green"),
}
"""Refused is red, deferred is yellow."""


class Column(str):
    """The name of a column. `prose` may wrap. `style` is rich's; empty: by the cell's text, for states and types of
    events."""

    prose: bool
    style: str

    def __new__(cls, name: str, *, prose: bool = False, style: str = "") -> "Column":
        column = super().__new__(cls, name)
        column.prose, column.style = prose, style
        return column


def prose(name: str, style: str = "") -> Column:
    return Column(name, prose=True, style=style)


def print_table(console: "Console", names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A name that is no Column is one of whole values."""
    from rich.text import Text

    columns = [name if isinstance(name, Column) else Column(name) for name in names]
    beside, below, widths = _lay_out(columns, rows, console.width)
    header = Text()
    for index in beside:
        _append(header, Text(columns[index], "bold"), widths[index])
    if header.plain.strip():
        _print(console, header)
    for row in rows:
        cells = {index: _cell(columns[index], row[index]) for index in range(len(columns))}
        for line in _lines(console, cells, beside, columns, widths):
            _print(console, line)
        for index in below:
            if row[index]:
                _print(console, Text.assemble(_INDENT, (f"{columns[index]}: ", "dim"), cells[index]))


def _lay_out(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[list[int], list[int], list[int]]:
    """The columns beside each other, those below, and the width of each."""
    from rich.cells import cell_len

    widths = [max([cell_len(c), *(cell_len(row[i]) for row in rows)]) for i, c in enumerate(columns)]
    beside, below = list(range(len(columns))), []
    least = {i: min(widths[i], _PROSE_WIDTH) if columns[i].prose else widths[i] for i in beside}
    while sum(least[i] + _GAP for i in beside) - _GAP > width:
        whole = [i for i in beside if not columns[i].prose]
        if len(whole) < 2:
            break
        widest = max(whole, key=lambda i: (max([cell_len(row[i]) for row in rows], default=0), i))
        beside.remove(widest)
        below.append(widest)
    room = width - sum(least[i] + _GAP for i in beside) + _GAP
    for i in (i for i in beside if columns[i].prose):
        more = max(0, min(widths[i] - least[i], room))
        widths[i], room = least[i] + more, room - more
    return beside, sorted(below), widths


def _lines(
    console: "Console",
    cells: dict[int, "Text"],
    beside: Sequence[int],
    columns: Sequence[Column],
    widths: Sequence[int],
) -> list["Text"]:
    """One row: as many lines as its longest prose."""
    from rich.text import Text

    parts = {
        i: list(cells[i].wrap(console, max(1, widths[i]), overflow="fold")) if columns[i].prose else [cells[i]]
        for i in beside
    }
    lines = []
    for number in range(max((len(part) for part in parts.values()), default=0)):
        line = Text()
        for i in beside:
            _append(line, parts[i][number] if number < len(parts[i]) else Text(), widths[i])
        lines.append(line)
    return lines


def _append(line: "Text", cell: "Text", width: int) -> None:
    if line.cell_len:
        line.append(" " * _GAP)
    line.append_text(cell)
    line.append(" " * max(0, width - cell.cell_len))


def _cell(column: Column, text: str) -> "Text":
    from rich.text import Text

    return Text(text, column.style or ("" if column.prose else _STYLES.get(text, "")))


def _print(console: "Console", line: "Text") -> None:
    line.rstrip()
    console.print(line, soft_wrap=True, highlight=False)
