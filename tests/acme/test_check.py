"""What an ACME server issued is examined before it is used."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kannon.acme.check import AcmeProblem, check_issued

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAME = "stats.example.com"


@dataclass
class Made:
    key: ec.EllipticCurvePrivateKey
    pem: str


def make(
    names: list[str] | None,
    *,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + 89 * DAY,
    subject: str = "leaf",
    issuer: "Made | None" = None,
) -> Made:
    key = ec.generate_private_key(ec.SECP256R1())
    by = "issuer" if issuer is not None else subject
    builder = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
        key.public_key(),
        x509.random_serial_number(),
        begin,
        end,
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    signed = builder.sign(issuer.key if issuer is not None else key, hashes.SHA256())
    return Made(key, signed.public_bytes(Encoding.PEM).decode())


def key_of(made: Made) -> str:
    return made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


ISSUER = make(None, subject="issuer")
GOOD = make([NAME], issuer=ISSUER)


def test_a_right_one_is_due_at_two_thirds_of_its_life() -> None:
    found = check_issued(NAME, GOOD.pem + ISSUER.pem, key_of(GOOD), NOW)
    assert (found.begin, found.end, found.renew_at) == (NOW - DAY, NOW + 89 * DAY, NOW + 59 * DAY)


def other(change: Callable[[], Made]) -> tuple[str, str]:
    made = change()
    return made.pem, key_of(made)


WRONG = {
    "another name": (*other(lambda: make(["evil.example"])), "the certificate is for evil.example"),
    "one name more": (*other(lambda: make([NAME, "evil.example"])), f"is for {NAME}, evil.example"),
    "a wildcard": (*other(lambda: make(["*.example.com"])), r"is for \*.example.com"),
    "no name": (*other(lambda: make(None)), "not a certificate for it"),
    "another key": (GOOD.pem, key_of(make([NAME])), "for another key"),
    "expired": (*other(lambda: make([NAME], end=NOW - timedelta(hours=1))), "valid from"),
    "not yet valid": (*other(lambda: make([NAME], begin=NOW + 2 * DAY)), "valid from"),
    "a broken chain": (GOOD.pem + make(None, subject="issuer").pem, key_of(GOOD), "the chain is broken"),
    "another issuer": (GOOD.pem + make(None, subject="stranger").pem, key_of(GOOD), "the chain is broken"),
    "nothing": ("", key_of(GOOD), "not a certificate"),
    "text": ("<html>", key_of(GOOD), "not a certificate"),
    "damaged": (GOOD.pem.replace("M", "N"), key_of(GOOD), "not a certificate"),
    "64 KiB and more": (GOOD.pem * 200, key_of(GOOD), "the chain has .* bytes"),
    "many": (GOOD.pem * 11, key_of(GOOD), "11 certificates"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_one_is_refused(case: str) -> None:
    chain, key, problem = WRONG[case]
    with pytest.raises(AcmeProblem, match=problem) as found:
        check_issued(NAME, chain, key, NOW)
    assert NAME in str(found.value)
    assert "\n" not in str(found.value)
