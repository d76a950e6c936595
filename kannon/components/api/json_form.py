"""protobuf's JSON form, read strictly: an unknown field, one given twice and a wrong type are errors that name it.

In: JSON as protobuf's mapping describes it, field names in either spelling. Out: a message; and JSON of a message, with
all fields that are not optional. Strings, maps of strings and nested messages are set here, since a send has 100,000
of them; all other types are google.protobuf.json_format's. Each object is a call of Python code, so that the event loop
gets the interpreter lock in between when this runs in a thread.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kannon.errors import InvalidArgument

MAX_DEPTH = 64
"""Of objects in objects; the protos need 5."""
_PARSER_WORDS = re.compile(r"^(Failed to parse \S+ field: )+|\.$")
_WELL_KNOWN = "google.protobuf."


def parse_json(data: bytes | bytearray, message_type: type[Message]) -> Message:
    """Raises InvalidArgument; broken JSON with its position."""
    message = message_type()
    try:
        _merge(message, _load(data), 0)
    except _At as error:
        raise InvalidArgument(error.path or "body", error.problem) from None
    return message


def to_json(message: Message) -> bytes:
    return json_format.MessageToJson(
        message, indent=None, ensure_ascii=False, always_print_fields_with_no_presence=True
    ).encode()


def _load(data: bytes | bytearray) -> Any:
    if not data.strip():
        return {}  # Connect: an empty body is an empty message
    try:
        return json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise InvalidArgument("body", f"is not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        text = error.msg[:1].lower() + error.msg[1:]
        raise InvalidArgument("body", f"is not JSON at line {error.lineno}, column {error.colno}: {text}") from None
    except RecursionError:
        raise InvalidArgument("body", "is nested too deeply") from None
    except ValueError:
        raise InvalidArgument("body", "holds a number of too many digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidArgument(name[:100], "is given twice in one object")
            seen.add(name)
    return result


def _constant(name: str) -> NoReturn:
    raise InvalidArgument("body", f"{name} is not JSON")


_Setter = Callable[[Message, str, Any, int], None]
"""Sets a field: the message, the field's name in the proto, the value, the depth. Raises _At."""


class _At(Exception):
    """A problem at `path`, relative to the message that is being set."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def inside(self, outer: str) -> "_At":
        joint = "" if not self.path or self.path.startswith("[") else "."
        return _At(f"{outer}{joint}{self.path}", self.problem)


@dataclass(frozen=True, slots=True)
class _Field:
    """`oneof`: the name of the group of which a message may have one field."""

    name: str
    set: _Setter
    oneof: str


@cache
def _fields(descriptor: Descriptor) -> Mapping[str, _Field]:
    """By both spellings of the name."""
    table = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        group = oneof.name if oneof is not None and len(oneof.fields) > 1 else ""
        table[field.json_name] = table[field.name] = _Field(field.name, _setter(field), group)
    return table


def _setter(field: FieldDescriptor) -> _Setter:
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            return _set_strings if key.type == value.type == FieldDescriptor.TYPE_STRING else _set_other
        if field.message_type.full_name.startswith(_WELL_KNOWN):
            return _set_other
        return _set_messages if field.is_repeated else _set_message
    if field.is_repeated:
        return _set_other
    return {FieldDescriptor.TYPE_STRING: _set_string, FieldDescriptor.TYPE_BYTES: _set_bytes}.get(
        field.type, _set_other
    )


def _merge(message: Message, value: Any, depth: int) -> None:
    if not isinstance(value, dict):
        raise _At("", "must be a JSON object")
    if depth > MAX_DEPTH:
        raise _At("", "is nested too deeply")
    fields = _fields(message.DESCRIPTOR)
    taken = set()
    for name, item in value.items():
        field = fields.get(name)
        if field is None:
            raise _At(name[:100], "there is no such field")
        if field.name in taken:
            raise _At(name, "is given twice, in both spellings")
        taken.add(field.name)
        if item is None:
            continue  # as if the field were absent
        if field.oneof and message.WhichOneof(field.oneof):
            raise _At(name, f"excludes {message.WhichOneof(field.oneof)}")
        try:
            field.set(message, field.name, item, depth)
        except _At as error:
            raise error.inside(name) from None


def _set_string(message: Message, name: str, value: Any, depth: int) -> None:
    if not isinstance(value, str):
        raise _At("", "must be a string")
    try:
        setattr(message, name, value)
    except ValueError:  # a lone surrogate
        raise _At("", "is not valid Unicode") from None


def _set_bytes(message: Message, name: str, value: Any, depth: int) -> None:
    """Base64 in either alphabet, with or without padding, and nothing else in between."""
    try:
        text = value.replace("-", "+").replace("_", "/")
        setattr(message, name, b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (AttributeError, ValueError):
        raise _At("", "must be a string of base64") from None


def _set_strings(message: Message, name: str, value: Any, depth: int) -> None:
    if not isinstance(value, dict):
        raise _At("", "must be a JSON object of strings")
    try:
        getattr(message, name).update(value)
    except (TypeError, ValueError):
        for key, item in value.items():
            if not isinstance(item, str):
                raise _At(key[:100], "must be a string") from None
        raise _At("", "is not valid Unicode") from None


def _set_message(message: Message, name: str, value: Any, depth: int) -> None:
    inner = getattr(message, name)
    inner.SetInParent()
    _merge(inner, value, depth + 1)


def _set_messages(message: Message, name: str, value: Any, depth: int) -> None:
    if not isinstance(value, list):
        raise _At("", "must be a JSON array")
    add = getattr(message, name).add
    for position, item in enumerate(value):
        try:
            _merge(add(), item, depth + 1)
        except _At as error:
            raise error.inside(f"[{position}]") from None


def _set_other(message: Message, name: str, value: Any, depth: int) -> None:
    try:
        json_format.ParseDict({name: value}, message)
    except (json_format.ParseError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _At("", _PARSER_WORDS.sub("", str(error)).split("\n")[0][:200]) from None
