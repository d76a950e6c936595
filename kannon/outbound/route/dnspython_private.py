"""The one private part of dnspython that Kannon uses: TLSA records whose digest has a wrong length.

dnspython reads no response that holds such a record, so mail to its domain would be deferred. RFC 7671 §10.1 has such a
record unusable and the others in force; kannon.mail.dane decides that. A test looks up such a record.
"""

import dns.immutable
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TLSA import TLSA


@dns.immutable.immutable
class AnyTlsa(TLSA):
    """Data of any length."""

    __slots__ = ()
    _cert_length_by_mtype: dict[int, int] = {}  # noqa: RUF012  # as in dnspython


def accept_any_tlsa() -> None:
    """For this process."""
    dns.rdata._rdata_classes[(dns.rdataclass.IN, dns.rdatatype.TLSA)] = AnyTlsa
