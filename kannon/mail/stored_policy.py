"""A cached MTA-STS policy: the form in which senders share it. No I/O.

In: a policy, its id, the times (seconds of the epoch) at which it was fetched and last used. Out: JSON, and the other
way.
"""

import json
from dataclasses import dataclass

from kannon.mail.mta_sts import PolicyInvalid, StsPolicy, parse_policy


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    id: str
    policy: StsPolicy
    fetched_at: float
    used_at: float

    @property
    def expires_at(self) -> float:
        """RFC 8461 §3.2: max_age counts from the fetch."""
        return self.fetched_at + self.policy.max_age

    def encode(self) -> bytes:
        value = {"id": self.id, "fetched_at": self.fetched_at, "used_at": self.used_at, "policy": self.policy.lines}
        return json.dumps(value).encode()


def decode_policy(value: bytes) -> StoredPolicy | None:
    """None for a value that this version cannot read."""
    try:
        found = json.loads(value)
        policy = parse_policy("\n".join(found["policy"]).encode())
        return StoredPolicy(str(found["id"]), policy, float(found["fetched_at"]), float(found["used_at"]))
    except (ValueError, KeyError, TypeError, PolicyInvalid):
        return None
