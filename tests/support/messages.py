"""Hypothesis strategies: any message of a protobuf type, with texts and numbers that often break programs."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from hypothesis import strategies as st

NASTY = (
    "", " ", "\0", "a\0b", "\r\n", "a\nBcc: x@y.z", "\u202e", "é", "ß", "𝕏", "﷽", "'; DROP TABLE domains; --", "%s%n",
    "{{ name }}", "{{{", "}}", "{{" * 50, "example.com", "EXAMPLE.com", "other.org", "mail.example.com", "xn--a",
    "a@example.com", "<a@example.com>", "a" * 400 + "@example.com", "@", "https://example.com/{{ email }}", "https://[",
    "template_" + "a" * 24 + "@example.com", "key_" + "a" * 24, "../../etc/passwd", "x" * 1000,
)  # fmt: skip


def texts() -> st.SearchStrategy[str]:
    # UTF-8 cannot encode surrogates, so no client can send one.
    return st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def structs() -> st.SearchStrategy[Message]:
    """Nested data, with numbers that JSON does not have."""
    scalars = st.none() | st.booleans() | st.floats() | texts()
    values = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3), max_leaves=8
    )
    return st.dictionaries(texts(), values, max_size=3).map(_struct)


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def messages(kind: Any) -> st.SearchStrategy[Message]:
    """`kind` is the message's descriptor."""
    if kind.full_name == Struct.DESCRIPTOR.full_name:
        return structs()
    cls: Any = GetMessageClass(kind)
    fields = {field.name: _field(field) for field in kind.fields}
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: cls(**values))


def _field(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return st.dictionaries(texts(), texts(), max_size=4)
    one = _value(field)
    return st.lists(one, max_size=4) if field.is_repeated else one


def _value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return messages(field.message_type)
        case FieldDescriptor.TYPE_STRING:
            return texts()
        case FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=100)
        case FieldDescriptor.TYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.TYPE_DOUBLE:
            return st.floats()
        case FieldDescriptor.TYPE_UINT32:
            return _integers(0, 2**32 - 1)
        case FieldDescriptor.TYPE_INT32 | FieldDescriptor.TYPE_ENUM:
            return _integers(-(2**31), 2**31 - 1)
        case FieldDescriptor.TYPE_UINT64:
            return _integers(0, 2**64 - 1)
        case FieldDescriptor.TYPE_INT64:
            return _integers(-(2**63), 2**63 - 1)
    raise NotImplementedError(field.full_name)


def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.sampled_from([low, high, 0, 1]) | st.integers(0, 10) | st.integers(low, high)
