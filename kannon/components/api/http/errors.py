"""Refusals in HTTP's words: the JSON error and the status of the Connect protocol.

In: a gRPC status. Out: an answer that Connect's clients and people read.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from google.protobuf.message import Message
from grpclib.const import Status
from protobuf.wkt import Any as AnyMessage

from kannon.components.api.rpc import Refusal

CODES: Mapping[Status, Code] = {
    status: Code[status.name.replace("CANCELLED", "CANCELED")] for status in Status if status is not Status.OK
}
_GRPC_WEB = b"application/grpc-web"
STATUSES: Mapping[Code, Status] = {code: status for status, code in CODES.items()}


def to_connect(refused: Refusal) -> ConnectError:
    return ConnectError(CODES[refused.status], refused.text, [_detail(message) for message in refused.details])


def _detail(message: Message) -> ErrorDetail:
    """connectrpc has a protobuf of its own; both know Any."""
    type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    return ErrorDetail(AnyMessage(type_url=type_url, value=message.SerializeToString()))


async def answer_error(
    send: Any,
    http_status: int,
    code: Code,
    text: str,
    headers: Sequence[tuple[bytes, bytes]] = (),
    asked: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """`asked`: the headers of the request. gRPC-Web has no errors in JSON: its clients take the status."""
    if any(name.lower() == b"content-type" and value.startswith(_GRPC_WEB) for name, value in asked):
        await answer(send, http_status, text.encode(), b"text/plain; charset=utf-8", headers)
        return
    body = json.dumps({"code": code.value, "message": text}, ensure_ascii=False).encode()
    await answer(send, http_status, body, b"application/json", headers)


async def answer(
    send: Any, http_status: int, body: bytes, content_type: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    start = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": http_status, "headers": start})
    await send({"type": "http.response.body", "body": body})
