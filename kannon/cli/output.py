"""The output of a command: a table at a terminal, tab-separated lines in a pipe, one JSON document with --json.

In: rows of text and protobuf messages. Control characters in them, which remote servers may send, are escaped.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


@dataclass(frozen=True, slots=True)
class Output:
    as_json: bool = False

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], document: Any) -> None:
        """`document` is printed with --json: messages, or dicts and lists of them."""
        if self.as_json:
            self.json(document)
        elif sys.stdout.isatty():
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text

            table = Table(*columns, box=None, pad_edge=False, header_style="bold")
            for row in rows:
                table.add_row(*(Text(printable(cell)) for cell in row))
            Console().print(table)
        else:
            for row in rows:
                print("\t".join(printable(cell) for cell in row))

    def lines(self, text: str, document: Any) -> None:
        """Prints `text`, or `document` with --json."""
        if self.as_json:
            self.json(document)
        else:
            print(text)

    def json(self, document: Any) -> None:
        print(json.dumps(plain(document), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


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


def local_time(at: Timestamp) -> str:
    """Local time, to the second."""
    return at.ToDatetime().astimezone().isoformat(sep=" ", timespec="seconds")
