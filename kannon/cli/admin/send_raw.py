"""`kannon send --raw`: the request for a complete message in a file.

In: a path, `-` for standard input, and recipients; without any those of To, Cc and Bcc. Out: a SendRawRequest and the
domain of From. Line ends become CRLF, which the files of most systems do not have.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parseaddr
from pathlib import Path

import typer

from kannon.errors import OperatorError
from kannon.pb.mailer.v1.mailer_pb2 import SendRawRequest

_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Labels:
    """Of a send."""

    tag: str
    metadata: Mapping[str, str]


def raw_request(path: Path, to: Sequence[str], labels: Labels, at: datetime | None) -> tuple[SendRawRequest, str]:
    """Raises OperatorError."""
    message = _LINE_END.sub(b"\r\n", _read(path))
    header = BytesHeaderParser().parsebytes(message)
    domain = parseaddr(str(header.get("from", "")))[1].rpartition("@")[2]
    if not domain:
        raise OperatorError(f"{path}: the message has no From with an address")
    named = [str(value) for name in ("to", "cc", "bcc") for value in header.get_all(name, [])]
    recipients = list(to) or [address for _, address in getaddresses(named) if address]
    if not recipients:
        raise typer.BadParameter("give --to: the message has no recipients in To, Cc or Bcc")
    request = SendRawRequest(
        message=message,
        recipients=recipients,
        tag=labels.tag,
        metadata=labels.metadata,
        smtputf8=not message.partition(b"\r\n\r\n")[0].isascii(),
    )
    if at is not None:
        request.scheduled_time.FromDatetime(at)
    return request, domain


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
