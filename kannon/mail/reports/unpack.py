"""A mail that carries a report → the report's own bytes.

In: a whole mail, of anyone. Out: XML or JSON, at most MAX_BYTES. Raises UnreadableReport, whose text is for the
sender. The archive's own claims about sizes are not believed.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from enum import StrEnum
from typing import Final

from kannon.mail.reports.report import UnreadableReport

MAX_BYTES: Final = 16 << 20
"""Unpacked. A report of 10,000 source addresses has 10 MB."""
MAX_PARTS: Final = 50
MAX_ENTRIES: Final = 20
_XML_STARTS: Final = (b"<?xml", b"<feedback", b"<!DOCTYPE", b"<!--")
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Form(StrEnum):
    XML = "xml"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Content:
    form: Form
    data: bytes


def unpack(mail: bytes) -> Content:
    """Of the first part that is a report, or the archive of one."""
    for part in _leaves(message_from_bytes(mail, policy=compat32)):
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        content = _recognise(_decompress(payload))
        if content is not None:
            return content
    raise UnreadableReport("the mail has no report: no XML or JSON, no zip or gzip archive of one")


def _leaves(message: Message) -> list[Message]:
    found: list[Message] = []
    waiting = [message]
    for _ in range(MAX_PARTS):
        if not waiting:
            break
        part = waiting.pop(0)
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting += [each for each in payload if isinstance(each, Message)]
        else:
            found.append(part)
    return found


def _decompress(data: bytes) -> bytes:
    """RFC 7489 §7.2.1.1, RFC 8460 §5.2: gzip; many senders of DMARC reports use zip."""
    if data.startswith(b"\x1f\x8b"):
        return _gunzip(data)
    if data.startswith(b"PK\x03\x04"):
        return _unzip(data)
    return data


def _gunzip(data: bytes) -> bytes:
    inflate = zlib.decompressobj(wbits=31)
    try:
        found = inflate.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise UnreadableReport(f"the gzip archive is broken: {error}") from None
    if len(found) > MAX_BYTES:
        raise UnreadableReport(f"the report has more than {MAX_BYTES >> 20} MiB when it is unpacked")
    if not inflate.eof:
        raise UnreadableReport("the gzip archive is cut off")
    return found


def _unzip(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [each for each in archive.infolist() if not each.is_dir()]
            if len(entries) > MAX_ENTRIES:
                raise UnreadableReport(f"the zip archive has {len(entries)} files")
            entries = [each for each in entries if each.filename.lower().endswith((".xml", ".json"))] or entries
            if not entries:
                raise UnreadableReport("the zip archive is empty")
            with archive.open(entries[0]) as file:
                found = file.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UnreadableReport(f"the zip archive is broken: {error}") from None  # RuntimeError: it is encrypted
    if len(found) > MAX_BYTES:
        raise UnreadableReport(f"the report has more than {MAX_BYTES >> 20} MiB when it is unpacked")
    return found


def _recognise(data: bytes) -> Content | None:
    start = data[:200]
    if start.startswith(_BOMS[1:]):
        return Content(Form.XML, data)
    start = start.removeprefix(_BOMS[0]).lstrip()
    if start.startswith(_XML_STARTS):
        return Content(Form.XML, data.removeprefix(_BOMS[0]).lstrip())
    if start.startswith(b"{"):
        return Content(Form.JSON, data.removeprefix(_BOMS[0]))
    return None
