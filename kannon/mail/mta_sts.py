"""MTA-STS policies: the DNS record, the policy's text, and its MX patterns (RFC 8461). No I/O.

In: TXT records, and what a policy host served. Out: a policy id, and a `StsPolicy`. Raises PolicyInvalid.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kannon.mail.dane import matches_name

MAX_AGE_SECONDS: Final = 31_557_600
"""RFC 8461 §3.2: a year."""
MAX_POLICY_BYTES: Final = 64 << 10
"""RFC 8461 §3.3: a limit is suggested, and 64 kilobytes are named as one."""

_FIELD = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[!-:<>-~]+"
_RECORD = re.compile(rf"v=STSv1[ \t]*(?:;[ \t]*{_FIELD}[ \t]*)+;?[ \t]*")
_ID = re.compile(r";[ \t]*id=([A-Za-z0-9]{1,32})[ \t]*(?:;|$)")
_AGE = re.compile(r"[0-9]{1,10}")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_MX = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)*{_LABEL}")


class StsMode(StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class PolicyInvalid(ValueError):
    """The text is no policy. The message says which line is wrong."""


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """`lines`: the policy as it was served, for reports."""

    mode: StsMode
    max_age: int
    mx: tuple[str, ...]
    lines: tuple[str, ...] = ()

    def allows(self, host: str) -> bool:
        """RFC 8461 §4.1: a pattern may begin with `*.`, which stands for exactly one label."""
        return any(matches_name(pattern, host) for pattern in self.mx)


def parse_record(texts: Iterable[str]) -> str:
    """The policy id in the TXT records of `_mta-sts.<domain>`; empty: the domain has no policy.

    RFC 8461 §3.1: records that do not begin with "v=STSv1" do not count, and if not exactly one is left, or if it is
    malformed, the domain has no policy.
    """
    records = [text for text in texts if re.match(r"v=STSv1[ \t]*(;|$)", text)]
    if len(records) != 1 or not _RECORD.fullmatch(records[0]):
        return ""
    found = _ID.search(records[0])
    return found[1] if found else ""


def parse_policy(body: bytes) -> StsPolicy:
    """RFC 8461 §3.2. Unknown fields are ignored; of a repeated field other than mx, the first one counts."""
    if len(body) > MAX_POLICY_BYTES:
        raise PolicyInvalid(f"the policy has more than {MAX_POLICY_BYTES} bytes")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyInvalid("the policy is not UTF-8") from None
    if found := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        raise PolicyInvalid(f"the policy has the control character {ord(found[0]):#04x}")
    lines = tuple(line.rstrip("\r") for line in text.rstrip("\r\n").split("\n"))
    fields: dict[str, str] = {}
    mx: list[str] = []
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not line.strip(" \t"):
            continue
        if not colon:
            raise PolicyInvalid(f"line {number} has no colon")
        if name == "mx":
            if not _MX.fullmatch(value.rstrip(".")):
                raise PolicyInvalid(f"line {number}: mx is no host name")
            mx.append(value.rstrip(".").lower())
        else:
            fields.setdefault(name, value)
    if fields.get("version") != "STSv1":
        raise PolicyInvalid("version is not STSv1")
    try:
        mode = StsMode(fields.get("mode", ""))
    except ValueError:
        raise PolicyInvalid("mode is not enforce, testing or none") from None
    age = fields.get("max_age", "")
    if not _AGE.fullmatch(age):
        raise PolicyInvalid("max_age is no number of seconds")
    if mode is not StsMode.NONE and not mx:
        raise PolicyInvalid("no mx")
    return StsPolicy(mode, min(int(age), MAX_AGE_SECONDS), tuple(dict.fromkeys(mx)), lines)
