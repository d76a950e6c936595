"""The codecs of gRPC's messages: `application/grpc` (binary) and `application/grpc+json`.

In: the bytes of a message. Out: the message, or for large and for JSON ones Unparsed, which is parsed once the call can
wait.
"""

from typing import Any

from grpclib.encoding.base import CodecBase
from grpclib.encoding.proto import ProtoCodec

from kannon.components.api.json_form import to_json
from kannon.components.api.parsing import PIECE_BYTES, Form, Unparsed


class LateCodec(ProtoCodec):
    """Leaves large messages to `Unparsed.parse`."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        if len(data) > PIECE_BYTES:
            return Unparsed(data, message_type)
        return super().decode(data, message_type)


class JsonCodec(CodecBase):
    __content_subtype__ = "json"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return to_json(message)

    def decode(self, data: bytes, message_type: Any) -> Any:
        return Unparsed(data, message_type, Form.JSON)
