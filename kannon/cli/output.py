"""The output of a command: a table at a terminal, tab-separated lines in a pipe, one JSON document with --json.

In: rows of text and protobuf messages. Control characters in them, which remote servers may send, are escaped. Times
are relative at a terminal ("5 min ago") and absolute elsewhere; --utc makes them absolute and UTC everywhere.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.cli.table import print_table

if TYPE_CHECKING:
    from rich.console import Console

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_RELATIVE_DAYS = 14  # a time further away is a date


@dataclass(frozen=True, slots=True)
class Total:
    """Of a list. `count` None: it shows all; from `most` on the number is not exact."""

    one: str
    many: str
    count: int | None = None
    most: int = 0

    def text(self, shown: int) -> str:
        count = shown if self.count is None else max(self.count, shown)
        if count == 0:
            return f"no {self.many}"
        total = f"{count:,}{' or more' if self.most and count >= self.most else ''}"
        return (
            f"{total} {self.one if count == 1 else self.many}"
            if count == shown
            else f"{shown:,} of {total} {self.many}"
        )


@dataclass(frozen=True, slots=True)
class Output:
    as_json: bool = False
    utc: bool = False

    @property
    def at_terminal(self) -> bool:
        return not self.as_json and sys.stdout.isatty()

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        document: Any,
        total: Total | None = None,
    ) -> None:
        """`document` is printed with --json: messages, or dicts and lists of them. At a terminal a list with a `total`
        ends with it."""
        if self.as_json:
            self.json(document)
        elif sys.stdout.isatty():
            console = _console()
            if rows:
                clean = [[printable(cell) for cell in row] for row in rows]
                print_table(console, columns, clean)
            if total is not None:
                console.print(total.text(len(rows)), style="dim", highlight=False)
        else:
            for row in rows:
                print("\t".join(printable(cell) for cell in row))

    def pairs(self, rows: Sequence[tuple[str, str]], document: Any) -> None:
        """One thing: a name and a value a line."""
        self.table(["", ""], rows, document)

    def lines(self, text: str, document: Any) -> None:
        """Prints `text`, or `document` with --json."""
        if self.as_json:
            self.json(document)
        else:
            print(text)

    def next(self, *commands: str) -> None:
        """What the reader probably does next; only at a terminal."""
        if self.at_terminal:
            for command in commands:
                _console().print(
                    f"Next: {printable(command)}", style="dim", highlight=False, markup=False, soft_wrap=True
                )

    def json(self, document: Any) -> None:
        print(json.dumps(plain(document), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))

    def time(self, at: Timestamp | datetime) -> str:
        """Relative at a terminal, else local time or UTC, to the second."""
        moment = at.ToDatetime(UTC) if isinstance(at, Timestamp) else at
        if self.utc:
            return moment.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
        return relative_time(moment, datetime.now(UTC)) if self.at_terminal else local_time(moment)


def printable(text: str) -> str:
    return text.translate(_CONTROLS)


def plain(document: Any) -> Any:
    """Messages as dicts, with the field names of the proto files."""
    if isinstance(document, Message):
        return MessageToDict(document, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    if isinstance(document, dict):
        return {key: plain(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [plain(each) for each in document]
    return document


def local_time(at: Timestamp | datetime) -> str:
    """Local time, to the second."""
    moment = at.ToDatetime(UTC) if isinstance(at, Timestamp) else at
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")


def relative_time(at: datetime, now: datetime) -> str:
    """`5 min ago`, `in 2 h`, or a date where it is more than two weeks away."""
    seconds = (at - now).total_seconds()
    size = round(abs(seconds))
    if size > _RELATIVE_DAYS * 86400:
        return at.astimezone().date().isoformat()
    if size == 0:
        return "now"
    unit, length = next((unit, length) for unit, length in _UNITS if size >= length)
    span = f"{size // length} {unit}"
    return f"in {span}" if seconds > 0 else f"{span} ago"


def _console() -> "Console":
    from rich.console import Console

    return Console()
