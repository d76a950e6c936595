"""Reads recipients from a file: CSV with a header line, or one JSON object per line.

In: a path; `-` is standard input, and a text that begins with `{` is JSON. Out: `Recipient` messages. The column or key
`email` is the address, a JSON object `data` is the recipient's data, and every other one is a field. Errors name the
line.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from kannon.errors import OperatorError
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient


def read_recipients(path: Path) -> list[Recipient]:
    """Raises OperatorError."""
    try:
        if str(path) == "-":
            return _read(sys.stdin.read())
        # utf-8-sig: spreadsheets write a byte order mark first.
        return _read(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise OperatorError(f"{path}: {error}") from None


def _read(text: str) -> list[Recipient]:
    return list(_json_lines(text) if text.lstrip().startswith("{") else _csv(text.splitlines(keepends=True)))


def _csv(lines: list[str]) -> Iterator[Recipient]:
    sample = lines[0] if lines else ""
    delimiter = max(",;\t", key=sample.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names = [name.strip() for name in next(reader, [])]
    lower = [name.lower() for name in names]
    if "@" in sample or not names:
        raise ValueError("the first line must name the columns, one of them email")
    if "email" not in lower:
        raise ValueError(f"no column is named email; the columns are {', '.join(names)}")
    address = lower.index("email")
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(names):
            raise ValueError(f"line {reader.line_num}: {len(row)} columns, but the first line names {len(names)}")
        fields = {name: cell for i, (name, cell) in enumerate(zip(names, row, strict=True)) if i != address}
        yield Recipient(email=row[address].strip(), fields=fields)


def _json_lines(text: str) -> Iterator[Recipient]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number}: not JSON: {error}") from None
        if not isinstance(value, dict) or not isinstance(value.get("email"), str):
            raise ValueError(f'line {number}: not a JSON object with the key "email"')
        email = value.pop("email")
        data = value.pop("data") if isinstance(value.get("data"), dict) else None
        fields = value["fields"] if set(value) == {"fields"} and isinstance(value["fields"], dict) else value
        recipient = Recipient(email=email, fields={name: _text(field) for name, field in fields.items()})
        if data is not None:
            json_format.ParseDict(data, recipient.data)
        yield recipient


def _text(value: Any) -> str:
    """A string unchanged, null as an empty string, any other value as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_data(path: Path, into: Struct) -> None:
    """A JSON object; `-` is standard input. Raises OperatorError or BadParameter."""
    try:
        json_format.Parse(read_text(path), into)
    except json_format.ParseError:
        raise typer.BadParameter("is not a JSON object", param_hint="--data") from None


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """NAME=VALUE. Raises BadParameter."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f'"{text}" is not NAME=VALUE', param_hint=option)
        found[name] = value
    return found


def read_text(path: Path) -> str:
    """`-` is standard input. Raises OperatorError."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OperatorError(f"{path}: not UTF-8") from None
