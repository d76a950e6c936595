"""DKIM as a receiver sees it: dkimpy verifies every signature of a mail against a DNS zone."""

import re
import shlex
from dataclasses import dataclass

import dkim

from tests.support.dns_server import Zone


@dataclass(frozen=True, order=True)
class Signature:
    selector: str
    algorithm: str
    verifies: bool


def signatures(mail: bytes, zone: Zone) -> list[Signature]:
    """In the order of the mail."""

    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        found = zone.get((name.decode().rstrip("."), "TXT"))
        return "".join(shlex.split(found[0])).encode() if found else None

    head = mail.partition(b"\r\n\r\n")[0]
    fields = re.findall(rb"^DKIM-Signature:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", head, re.M)
    found = []
    for position, value in enumerate(fields):
        tags = dict(tag.strip().split(b"=", 1) for tag in value.split(b";") if tag.strip())
        good = bool(dkim.DKIM(mail).verify(idx=position, dnsfunc=look_up))
        found.append(Signature(tags[b"s"].decode(), tags[b"a"].decode(), good))
    return found
