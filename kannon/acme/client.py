"""Orders a certificate from an ACME server (RFC 8555) with the challenge HTTP-01.

In: the server's directory, a contact, an account key, a name. Out: a checked chain and its key. `publish` stores the
answer to the challenge where bump finds it, before the server is told to look. The library is Certbot's own.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from kannon import __version__
from kannon.acme.check import AcmeProblem, Validity, check_issued

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER_SECONDS: Final = 90.0
_ANSWER_SECONDS: Final = 20
_NONCES: Final = 10
"""Attempts where the server refuses the nonce, which it may at any time (RFC 8555 §6.5)."""

Publish = Callable[[str, str], None]
"""Of a token and the answer to a request for it."""


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM."""

    name: str
    chain: str
    private_key: str
    validity: Validity


@dataclass(frozen=True, slots=True)
class AcmeClient:
    """`ca_file`: authorities for the server's own certificate; empty: the system's."""

    directory: str
    contact: str
    account_key: str
    ca_file: str = ""

    def order(self, name: str, publish: Publish) -> Issued:
        """Raises AcmeProblem. Takes up to ORDER_SECONDS and the server's answers."""
        from acme import challenges

        private_key = new_private_key()
        with _problems(name):
            client = self._open()
            order = client.new_order(_request(name, private_key))
            for authorization in order.authorizations:
                if authorization.body.identifier.value.lower() != name:
                    raise AcmeProblem(f"{name}: the server asks for {authorization.body.identifier.value}")
                if str(authorization.body.status) == "Status(valid)":
                    continue
                offered = [each for each in authorization.body.challenges if isinstance(each.chall, challenges.HTTP01)]
                if not offered:
                    raise AcmeProblem(f"{name}: the server offers no challenge http-01")
                response, answer = offered[0].response_and_validation(client.net.key)
                # Order of effects: the answer is stored, then the server asks for it.
                publish(offered[0].chall.encode("token"), answer)
                client.answer_challenge(offered[0], response)
            deadline = datetime.now() + timedelta(seconds=ORDER_SECONDS)  # noqa: DTZ005  # as the library compares
            chain = client.poll_and_finalize(order, deadline).fullchain_pem
            return Issued(name, chain, private_key, check_issued(name, chain, private_key, datetime.now(UTC)))

    def renewal_time(self, name: str, chain: str) -> datetime | None:
        """When the server wants it renewed (RFC 9773): in the past for one that it has revoked. None: it does not
        say. Raises AcmeProblem."""
        with _problems(name):
            at: datetime | None = self._open(register=False).renewal_time(chain.encode())[0]
        return at

    def _open(self, *, register: bool = True) -> Any:
        from acme import client, errors, messages
        from josepy.jwa import ES256
        from josepy.jwk import JWKEC

        class Network(client.ClientNetwork):
            def post(self, *args: Any, **kwargs: Any) -> Any:
                for attempt in range(_NONCES):
                    try:
                        return super().post(*args, **kwargs)
                    except messages.Error as error:
                        if error.code != "badNonce" or attempt == _NONCES - 1:
                            raise
                raise AssertionError

        key = JWKEC(key=load_pem_private_key(self.account_key.encode(), None))
        net = Network(key, alg=ES256, user_agent=f"kannon/{__version__}", timeout=_ANSWER_SECONDS)
        if self.ca_file:
            net.verify_ssl = self.ca_file  # type: ignore[assignment]
        opened = client.ClientV2(client.ClientV2.get_directory(self.directory, net), net)
        if register:
            new = messages.NewRegistration.from_data(email=self.contact, terms_of_service_agreed=True)
            try:
                opened.new_account(new)
            except errors.ConflictError as known:
                net.account = opened.query_registration(
                    messages.RegistrationResource(body=messages.Registration(key=key.public_key()), uri=known.location)
                )
        return opened


def new_private_key() -> str:
    """ECDSA P-256, for an account or a certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _request(name: str, private_key: str) -> bytes:
    key = load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # for the type checker
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@contextmanager
def _problems(name: str) -> "Iterator[None]":
    """Turns what the library raises into AcmeProblem, and what a wrong answer breaks in it too."""
    import requests
    from acme import errors, messages

    try:
        yield
    except AcmeProblem:
        raise
    except messages.Error as error:
        raise AcmeProblem(
            f"{name}: {error.code or error.typ}: {error.detail}", rate_limited=error.code == "rateLimited"
        ) from None
    except errors.ValidationError as error:
        raise AcmeProblem(f"{name}: {_failed(error.failed_authzrs)}") from None
    except errors.TimeoutError:
        raise AcmeProblem(f"{name}: the server did not decide within {ORDER_SECONDS:.0f} s") from None
    except (requests.RequestException, OSError) as error:
        raise AcmeProblem(f"{name}: the ACME server cannot be reached: {error}") from None
    except Exception as error:
        raise AcmeProblem(f"{name}: the ACME server's answer is not usable: {error!r}") from None


def _failed(authorizations: Any) -> str:
    found = [str(each.error.detail) for one in authorizations for each in one.body.challenges if each.error is not None]
    return "; ".join(found) or "the server refused the name"
