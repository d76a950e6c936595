"""The OpenAPI 3.1 description of the API, made from the protos and their comments.

In: a FileDescriptorSet with source information. Out: the document as JSON text. tools/gen_pb.py writes it into
kannon/pb/openapi.py.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

_FIELD, _MESSAGE, _ENUM, _SERVICE, _METHOD, _NESTED = 2, 4, 5, 6, 2, 3  # numbers in descriptor.proto, for comment paths
_OPEN = {"pkg.kannon.admin.apiv1.HZService"}
_KEY = re.compile(r"\.Mailer$")
_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptorProto.TYPE_INT64: {"type": ["string", "integer"], "format": "int64", "pattern": "^-?[0-9]{1,19}$"},
    FieldDescriptorProto.TYPE_UINT64: {"type": ["string", "integer"], "format": "uint64", "pattern": "^[0-9]{1,19}$"},
}
_WELL_KNOWN = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?s$"},
    ".google.protobuf.Struct": {"type": "object"},
}
_CODES = (
    "canceled unknown invalid_argument deadline_exceeded not_found already_exists permission_denied "
    "resource_exhausted failed_precondition aborted out_of_range unimplemented internal unavailable data_loss "
    "unauthenticated"
)


def openapi(files: FileDescriptorSet) -> str:
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": _error()}
    tags = []
    for file in files.file:
        if file.package.startswith("google."):
            continue
        comments = _comments(file)
        for index, message in enumerate(file.message_type):
            schemas |= _messages(message, file.package, (_MESSAGE, index), comments)
        for index, enum in enumerate(file.enum_type):
            schemas[f"{file.package}.{enum.name}"] = _enum(enum, comments.get((_ENUM, index), ""))
        for number, service in enumerate(file.service):
            name = f"{file.package}.{service.name}"
            tags.append({"name": name, "description": comments.get((_SERVICE, number), "")})
            for index, method in enumerate(service.method):
                text = comments.get((_SERVICE, number, _METHOD, index), "")
                if not method.server_streaming:
                    paths[f"/{name}/{method.name}"] = {"post": _operation(name, method, text)}
    paths |= {
        "/healthz": {"get": _probe("The process answers.", {"200": "It does."})},
        "/readyz": {
            "get": _probe("The server can take mail.", {"200": "It can.", "503": "It cannot; the failing checks."})
        },
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Kannon", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": sorted(tags, key=lambda tag: tag["name"]),
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": _SECURITY},
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


_DESCRIPTION = """\
Each call is a POST with a JSON object. Field names may also be written as in the protos (snake_case). An unknown field
is refused. An error is an object with `code` and `message`. The same calls are there over gRPC, Connect and
gRPC-Web, on the same port."""
_SECURITY = {
    "apiKey": {"type": "http", "scheme": "basic", "description": "The domain, and an API key as the password."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key for the Mailer, else the admin token."},
    "adminToken": {"type": "apiKey", "in": "header", "name": "x-kannon-admin-token"},
}


def _error() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "string", "enum": _CODES.split()},
            "message": {"type": "string", "description": "What is wrong; for a field, `field: what is wrong`."},
            "details": {
                "type": "array",
                "description": "google.rpc.BadRequest for a field, google.rpc.RetryInfo for a quota.",
                "items": {
                    "type": "object",
                    "required": ["type", "value"],
                    "properties": {
                        "type": {"type": "string", "description": "The full name of the message."},
                        "value": {"type": "string", "description": "The message, as base64 without padding."},
                    },
                },
            },
        },
    }


def _operation(service: str, method: Any, text: str) -> dict[str, Any]:
    security: list[dict[str, list[str]]] = [{"adminToken": []}, {"bearer": []}]
    if service in _OPEN:
        security = [{}]
    elif _KEY.search(service):
        security = [{"apiKey": []}, {"bearer": []}]
    body = {"application/json": {"schema": _ref(method.input_type)}}
    return {
        "operationId": f"{service}.{method.name}",
        "tags": [service],
        "summary": method.name,
        "description": text,
        "security": security,
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": _ref(method.output_type)}}},
            "default": {
                "description": "Refused; nothing was changed.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }


def _probe(summary: str, answers: dict[str, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": summary.split()[1],
        "summary": summary,
        "security": [{}],
        "responses": {status: {"description": text, "content": content} for status, text in answers.items()},
    }


def _messages(
    message: DescriptorProto, scope: str, path: tuple[int, ...], comments: dict[tuple[int, ...], str]
) -> dict[str, Any]:
    """The schemas of a message and of those inside it."""
    name = f"{scope}.{message.name}"
    entries = {f".{name}.{nested.name}": nested for nested in message.nested_type if nested.options.map_entry}
    properties = {
        field.json_name: _field(field, entries, comments.get((*path, _FIELD, index), ""))
        for index, field in enumerate(message.field)
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if text := comments.get(path):
        schema["description"] = text
    schemas = {name: schema}
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            schemas |= _messages(nested, name, (*path, _NESTED, index), comments)
    return schemas


def _field(field: FieldDescriptorProto, entries: dict[str, DescriptorProto], text: str) -> dict[str, Any]:
    schema = _type(field, entries)
    if field.label == FieldDescriptorProto.LABEL_REPEATED and field.type_name not in entries:
        schema = {"type": "array", "items": schema}
    return schema | ({"description": text} if text else {})


def _type(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> dict[str, Any]:
    if entry := entries.get(field.type_name):
        return {"type": "object", "additionalProperties": _type(entry.field[1], {})}
    if field.type in (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_ENUM):
        return _WELL_KNOWN.get(field.type_name) or _ref(field.type_name)
    return _SCALARS[field.type]


def _enum(enum: EnumDescriptorProto, text: str) -> dict[str, Any]:
    schema = {"type": "string", "enum": [value.name for value in enum.value]}
    return schema | ({"description": text} if text else {})


def _ref(type_name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{type_name.removeprefix('.')}"}


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return dict(_each_comment(file))


def _each_comment(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for location in file.source_code_info.location:
        text = " ".join((location.leading_comments or location.trailing_comments).split())
        if text:
            yield tuple(location.path), text
