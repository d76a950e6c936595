"""The DANE table of RFC 7672: destinations in a signed DNS tree, and what happens to mail for each.

In: an authority and a port. Out: `Cell`s with zone lines, the MX hosts' certificates, and the expected outcome.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kannon.mail.dane import SHA512, Tlsa, record_value
from tests.support.certificates import Authority
from tests.support.signed_dns import Forged

DANE, ENCRYPTED, CLEAR = "dane", "unverified", ""
NOWHERE = "3 1 1 " + "ab" * 32


@dataclass
class Cell:
    """`expected`: the last word of a delivered mail's TLS, or the beginning of a deferral's text. `finger`: what
    posttls-finger calls the connection; empty: it makes none."""

    name: str
    domain: str
    address: str
    expected: str
    finger: str
    certificate: Path | None
    enhanced: str = ""
    dane: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    forge: list[Forged] = field(default_factory=list)
    delivered: bool = True


@dataclass(frozen=True)
class Certificates:
    """Of one MX host."""

    file: Path
    own: bytes
    authority: bytes

    def tlsa(self, usage: int, selector: int, matching: int) -> str:
        der = self.authority if usage in (0, 2) else self.own
        return str(Tlsa(usage, selector, matching, b"")) + " " + record_value(der, selector, matching).hex()


def make_cells(authority: Authority, other: Authority, port: int) -> list[Cell]:
    cells: list[Cell] = []

    def certificates(host: str, **flaws: bool) -> Certificates:
        file = authority.issue_file(host, **flaws)
        [own, *_] = x509.load_pem_x509_certificates(file.read_bytes())
        return Certificates(file, own.public_bytes(Encoding.DER), authority.certificate.public_bytes(Encoding.DER))

    def add(
        name: str,
        records: Callable[[Certificates], list[str]],
        expected: str,
        finger: str,
        *,
        host: str = "",
        starttls: bool = True,
        zone: str = "dane",
        text: str = "",
        **flaws: bool,
    ) -> Cell:
        """A domain with one MX host of the same zone."""
        number = len(cells) + 1
        found = certificates(host or f"mx{number}.{zone}.test", **flaws)
        lines = [f"c{number} MX 10 mx{number}", f"mx{number} A 127.0.9.{number}"]
        lines += [f"_{port}._tcp.mx{number} TLSA {record}" for record in records(found)]
        cell = Cell(
            name,
            f"c{number}.{zone}.test",
            f"127.0.9.{number}",
            expected,
            finger,
            found.file if starttls else None,
            enhanced=("4.7.5" if starttls else "4.7.4") if text == "" else "",
            delivered=expected in (DANE, ENCRYPTED, CLEAR),
        )
        getattr(cell, zone).extend(lines)
        cells.append(cell)
        return cell

    def of(*forms: tuple[int, int, int]) -> Callable[[Certificates], list[str]]:
        return lambda found: [found.tlsa(*form) for form in forms]

    def fixed(*records: str) -> Callable[[Certificates], list[str]]:
        return lambda _: list(records)

    no_match = "TLS: no TLSA record matches the certificate"
    verified, untrusted = "Verified", "Untrusted"
    add("DANE-EE, key, SHA-256", of((3, 1, 1)), DANE, verified)
    add("DANE-EE, certificate, SHA-256", of((3, 0, 1)), DANE, verified)
    add("DANE-EE, key, SHA-512", of((3, 1, 2)), DANE, verified)
    add("DANE-EE, the whole key", of((3, 1, 0)), DANE, verified)
    add("DANE-EE, the whole certificate", of((3, 0, 0)), DANE, verified)
    add("DANE-EE, another key", fixed(NOWHERE), no_match, untrusted)
    add("DANE-EE, expired", of((3, 1, 1)), DANE, verified, expired=True)
    add("DANE-EE, another name", of((3, 1, 1)), DANE, verified, host="other.test")
    add("DANE-EE, self-signed", of((3, 1, 1)), DANE, verified, self_signed=True)
    add("DANE-EE, no STARTTLS", of((3, 1, 1)), "STARTTLS is not offered", "", starttls=False)
    add("DANE-TA, key", of((2, 1, 1)), DANE, verified, chain=True)
    add("DANE-TA, certificate", of((2, 0, 1)), DANE, verified, chain=True)
    add("DANE-TA, another name", of((2, 0, 1)), "TLS: the certificate is not for", untrusted, host="o.test", chain=True)
    add(
        "DANE-TA, expired",
        of((2, 0, 1)),
        "TLS: the certificate's chain is not valid",
        untrusted,
        chain=True,
        expired=True,
    )
    add("DANE-TA, not in the chain", of((2, 1, 1)), no_match, untrusted)
    add("DANE-TA, only in the DNS", of((2, 0, 0)), DANE, verified)
    add("DANE-TA, its key only in the DNS", of((2, 1, 0)), DANE, verified)
    another = other.certificate.public_bytes(Encoding.DER).hex()
    add("DANE-TA, another authority", fixed(f"2 0 0 {another}"), "TLS: the certificate's chain", untrusted, chain=True)
    add("DANE-TA, a name of the domain", of((2, 0, 1)), DANE, verified, host=f"c{len(cells) + 1}.dane.test", chain=True)
    add("DANE-TA, a wildcard", of((2, 0, 1)), DANE, verified, host="*.dane.test", chain=True)
    add("PKIX-TA only", of((0, 0, 1)), ENCRYPTED, untrusted, chain=True)
    add("PKIX-EE only", of((1, 1, 1)), ENCRYPTED, untrusted)
    add("PKIX-EE only, no STARTTLS", of((1, 1, 1)), "STARTTLS is not offered", "", starttls=False)
    add("unknown parameters only", fixed("9 1 1 " + "ab" * 32, "3 7 1 " + "ab" * 32, "3 1 9 ab"), ENCRYPTED, untrusted)
    add("a digest of a wrong length", fixed("3 1 1 abcd"), ENCRYPTED, untrusted)
    add("an unusable record beside one that matches", lambda c: ["3 1 1 abcd", c.tlsa(3, 1, 1)], DANE, verified)
    add("rollover: the old key and the new one", lambda c: [NOWHERE, c.tlsa(3, 1, 1)], DANE, verified)
    add("rollover too late", fixed(NOWHERE, "3 1 1 " + "cd" * 32), no_match, untrusted)
    add("the strongest digest counts", lambda c: [c.tlsa(3, 1, 1), f"3 1 {SHA512} " + "ab" * 64], no_match, untrusted)
    add("no TLSA record", fixed(), ENCRYPTED, untrusted)
    add("no TLSA record, no STARTTLS", fixed(), CLEAR, "", starttls=False)
    add("an insecure zone", fixed(NOWHERE), ENCRYPTED, untrusted, zone="plain")
    many = [f"3 1 1 {number:064x}" for number in range(400)]
    # Postfix reads a hundred records of a name.
    add("four hundred records", lambda c: [*many, c.tlsa(3, 1, 1)], DANE, untrusted)

    number = len(cells) + 1
    bogus = add("a forged TLSA record", of((3, 1, 1)), "name servers failed", "", text="dns")
    bogus.forge.append(Forged(f"_{port}._tcp.mx{number}", "TLSA"))
    number = len(cells) + 1
    bogus = add("a forged address", of((3, 1, 1)), "name servers failed", "", text="dns")
    bogus.forge.append(Forged(f"mx{number}", "A"))
    number = len(cells) + 1
    bogus = add("a forged MX record", of((3, 1, 1)), "name servers failed", "", text="dns")
    bogus.forge.append(Forged(f"c{number}", "MX"))
    add("a zone whose key is not its parent's", of((3, 1, 1)), "name servers failed", "", zone="forged", text="dns")

    number = len(cells) + 1
    cell = add("no MX record", fixed(), DANE, verified)
    [own] = [certificates(f"c{number}.dane.test")]
    cell.certificate = own.file
    cell.dane[:] = [f"c{number} A {cell.address}", f"_{port}._tcp.c{number} TLSA {own.tlsa(3, 1, 1)}"]

    number = len(cells) + 1
    cell = add("an MX host that is a CNAME", of((3, 1, 1)), DANE, verified)
    cell.dane[0] = f"c{number} MX 10 alias{number}"
    cell.dane.append(f"alias{number} CNAME mx{number}")
    number = len(cells) + 1
    cell = add("a CNAME with a TLSA record of its own", of((3, 1, 1)), DANE, verified)
    cell.dane[0] = f"c{number} MX 10 alias{number}"
    cell.dane[2] = cell.dane[2].replace(f"_tcp.mx{number}", f"_tcp.alias{number}")
    cell.dane.append(f"alias{number} CNAME mx{number}")
    number = len(cells) + 1
    cell = add("a secure CNAME into an insecure zone", of((3, 1, 1)), DANE, verified)
    cell.plain.append(f"mx{number} A {cell.address}")
    cell.dane[:] = [
        f"c{number} MX 10 alias{number}",
        f"alias{number} CNAME mx{number}.plain.test.",
        cell.dane[2].replace(f"_tcp.mx{number}", f"_tcp.alias{number}"),
    ]
    number = len(cells) + 1
    cell = add("a secure MX record, an insecure host", fixed(NOWHERE), ENCRYPTED, untrusted, zone="plain")
    cell.domain = f"c{number}.dane.test"
    cell.dane.append(f"c{number} MX 10 mx{number}.plain.test.")
    number = len(cells) + 1
    cell = add("an insecure MX record, a secure host", fixed(NOWHERE), ENCRYPTED, untrusted)
    cell.domain = f"c{number}.plain.test"
    cell.plain.append(f"c{number} MX 10 mx{number}.dane.test.")
    number = len(cells) + 1
    cell = add("a domain that is a CNAME", of((2, 0, 1)), DANE, verified, host=f"c{number}.dane.test", chain=True)
    cell.domain = f"www{number}.dane.test"
    cell.dane.append(f"www{number} CNAME c{number}")
    return cells
