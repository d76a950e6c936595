"""The headers of a request, judged before its call begins.

In: headers as h2 decoded them (Latin-1, not validated: h2 would close the connection with all its calls for one
malformed request). Out: trimmed headers, and the status of a request that grpclib would fail on without an answer.
"""

import re

from grpclib.const import Status
from grpclib.metadata import decode_bin_value, decode_timeout

Headers = list[tuple[str, str]]

# gRPC over HTTP/2, "Timeout": at most eight digits and a unit.
_TIMEOUT = re.compile(r"[0-9]{1,8}[HMSmun]")
_SHORTEST_TIMEOUT = 0.001
_ENCODINGS = frozenset({"identity", "gzip"})
# RFC 9113 §8.2.1: no upper case, no characters beyond ASCII; RFC 9110 §5.6.2: a token.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
# RFC 9113 §8.2.1.
_VALUE = re.compile(r"[^\0\r\n]*")
# RFC 9113 §8.3.1.
_REQUIRED = frozenset({":method", ":scheme", ":path"})
_PSEUDO = _REQUIRED | {":authority"}
# RFC 9113 §8.2.2.
_CONNECTION_SPECIFIC = frozenset({"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"})


def trimmed(headers: Headers) -> Headers:
    """gRPC over HTTP/2, "Custom-Metadata": receivers may strip blanks around values."""
    return [(name, value.strip(" \t")) for name, value in headers]


def malformed(headers: Headers) -> tuple[Status, str] | None:
    pseudo: set[str] = set()
    ordinary = False
    for name, value in headers:
        if name.startswith(":"):
            # RFC 9113 §8.3: known ones only, each once, before all other fields.
            if ordinary or name in pseudo or name not in _PSEUDO:
                return Status.INVALID_ARGUMENT, "headers: the pseudo-header fields are not those of a request"
            pseudo.add(name)
        else:
            ordinary = True
            if not _NAME.fullmatch(name) or name in _CONNECTION_SPECIFIC:
                return Status.INVALID_ARGUMENT, "headers: a name is not allowed in HTTP/2"
        if not _VALUE.fullmatch(value):
            return Status.INVALID_ARGUMENT, "headers: a value holds characters that are not allowed"
        if name == "grpc-encoding" and value not in _ENCODINGS:
            # gRPC, "Compression": whether or not a message is compressed.
            return Status.UNIMPLEMENTED, "grpc-encoding: the supported encodings are identity and gzip"
        if name == "grpc-timeout":
            if not _TIMEOUT.fullmatch(value):
                return Status.INVALID_ARGUMENT, "grpc-timeout: is not a valid timeout"
            if decode_timeout(value) < _SHORTEST_TIMEOUT:
                return Status.DEADLINE_EXCEEDED, "the deadline has passed"
        if name.endswith("-bin") and not _is_base64(value):
            return Status.INVALID_ARGUMENT, "metadata: a -bin value is not base64"
    if not pseudo >= _REQUIRED:
        return Status.INVALID_ARGUMENT, "headers: the pseudo-header fields are not those of a request"
    return None


def _is_base64(value: str) -> bool:
    try:
        decode_bin_value(value.encode("ascii"))
    except ValueError:
        return False
    return True
