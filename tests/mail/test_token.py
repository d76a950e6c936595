"""Tracking tokens: standard JWTs, deterministic, and refused in every other shape."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.message_id import anonymous_address, make_pseudonym, tracking_address
from kannon.mail.token import TokenSigner, TokenVerifier, generate_token_key, parse_token
from kannon.mail.token_claims import Channel, Claims
from kannon.mail.tracking import TrackingMode, TrackingPolicy
from tests.support.mail import DOMAIN, MESSAGE_ID, NOW, batch, build, delivery, texts, token_pair, token_verifier

ISSUED = int(NOW.timestamp())
EXPIRES = ISSUED + 90 * 86400
CLAIMS = Claims(
    channel=Channel.CLICK,
    mode=TrackingMode.IDENTIFIED,
    domain=DOMAIN,
    message_id=MESSAGE_ID,
    email="anna@reader.example",
    issued=ISSUED,
    expires=EXPIRES,
    delivery_id=7,
    url="https://x.example/",
)
KID = token_pair()[0].kid


def private_key() -> Ed25519PrivateKey:
    key = load_pem_private_key(token_pair()[0].private_pem.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def sign(claims: Claims = CLAIMS) -> str:
    return TokenSigner(token_pair()[0]).sign(claims)


def accepts(token: str, channel: Channel = Channel.CLICK, at: timedelta = timedelta(0)) -> Claims | None:
    """With the right key, regardless of the kid."""
    sealed = parse_token(token)
    return token_verifier().verify(sealed, channel, NOW + at) if sealed is not None else None


MODES = st.sampled_from([TrackingMode.IDENTIFIED, TrackingMode.FULL])
URLS = st.text(max_size=80).map(lambda path: "https://x.example/" + path)


@given(
    MODES, st.emails(), st.integers(0, 2**63 - 1), URLS, st.sampled_from([MESSAGE_ID, "other", "msg_x@else.example"])
)
def test_signed_claims_are_verified(mode: TrackingMode, email: str, id_: int, url: str, message_id: str) -> None:
    claims = Claims(Channel.CLICK, mode, DOMAIN, message_id, email, ISSUED, EXPIRES, id_, url)
    token = sign(claims)
    sealed = parse_token(token)
    assert sealed is not None
    assert sealed.kid == KID
    assert accepts(token) == claims
    assert sign(claims) == token


def secret() -> bytes:
    """Of HMACs, as the module derives it from the private key."""
    raw = private_key().private_bytes_raw()
    return HKDF(SHA256(), 32, salt=None, info=b"kannon tracking tokens, HS256").derive(raw)


def test_it_is_a_jwt_that_pyjwt_reads() -> None:
    options: Any = {"require": ["exp", "aud", "iat"], "verify_exp": False, "verify_iat": False}  # it is of 2026
    payload = jwt.decode(sign(), secret(), algorithms=["HS256"], audience="c", options=options)
    assert payload["exp"] == EXPIRES
    assert jwt.get_unverified_header(sign()) == {"alg": "HS256", "kid": KID}


def test_it_expires() -> None:
    assert accepts(sign(), at=timedelta(days=90) - timedelta(seconds=1)) == CLAIMS
    assert accepts(sign(), at=timedelta(days=90)) is None


def test_the_other_channel_refuses_it() -> None:
    assert accepts(sign(), Channel.OPEN) is None


def test_every_changed_character_is_noticed() -> None:
    token = sign()
    for at in range(len(token)):
        for other in "AQgwz.":
            if token[at] != other:
                assert accepts(token[:at] + other + token[at + 1 :]) is None, (at, other)


def _segment(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(header: object, payload: object) -> str:
    text = f"{_segment(header)}.{_segment(payload)}"
    return f"{text}.{_segment(hmac.digest(secret(), text.encode(), hashlib.sha256))}"


def _signed_with_ed25519(header: object, payload: object) -> str:
    """As earlier versions did."""
    text = f"{_segment(header)}.{_segment(payload)}"
    return f"{text}.{_segment(private_key().sign(text.encode()))}"


HEADER = {"alg": "HS256", "kid": KID}
EDDSA = {"alg": "EdDSA", "kid": KID}
PAYLOAD: dict[str, Any] = json.loads(base64.urlsafe_b64decode(sign().split(".")[1] + "=="))


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in PAYLOAD.items() if key != name}


def _header(**more: object) -> str:
    return _signed({**HEADER, **more}, PAYLOAD)


def _payload(**more: object) -> str:
    return _signed(HEADER, {**PAYLOAD, **more})


def _other_algorithm(algorithm: str, key: Any) -> str:
    return jwt.encode(PAYLOAD, key, algorithm=algorithm, headers={"kid": KID})


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


HOSTILE: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "one dot": lambda: ".",
    "two dots": lambda: "..",
    "words": lambda: "a.b.c",
    "four parts": lambda: sign() + ".x",
    "no signature": lambda: sign().rpartition(".")[0] + ".",
    "signature missing": lambda: sign().rpartition(".")[0],
    "signature of another token": lambda: sign().rpartition(".")[0] + "." + _payload(i=8).rpartition(".")[2],
    "signature in the order of no one": lambda: sign().rpartition(".")[0] + "." + _segment(b"\xff" * 64),
    "signature of zeros": lambda: sign().rpartition(".")[0] + "." + _segment(bytes(64)),
    "short signature": lambda: sign()[:-1],
    "long signature": lambda: sign() + "A",
    "padding": lambda: sign() + "==",
    "white space before": lambda: " " + sign(),
    "white space after": lambda: sign() + "\n",
    "white space within": lambda: sign().replace(".", ". ", 1),
    "percent encoding": lambda: sign().replace("e", "%65", 1),
    "standard base64 alphabet": lambda: sign().replace("-", "+").replace("_", "/") + "+",
    "NUL": lambda: sign() + "\0",
    "not ASCII": lambda: sign() + "é",
    "digits of another script": lambda: sign().replace("1", "١") + "١",
    "over 8 KiB": lambda: sign(CLAIMS._replace(url="https://x.example/" + "y" * 7000)),
    "a megabyte": lambda: "A" * (1 << 20),
    "a megabyte of dots": lambda: "." * (1 << 20),
    "another key": lambda: TokenSigner(generate_token_key()[0]).sign(CLAIMS),
    "alg none, no signature": lambda: f"{_segment({'alg': 'none', 'kid': KID})}.{_segment(PAYLOAD)}.",
    "alg none, signed": lambda: _signed({**HEADER, "alg": "none"}, PAYLOAD),
    "alg NONE": lambda: _signed({**HEADER, "alg": "NONE"}, PAYLOAD),
    "alg hs256": lambda: _signed({**HEADER, "alg": "hs256"}, PAYLOAD),
    "alg null": lambda: _signed({**HEADER, "alg": None}, PAYLOAD),
    "alg list": lambda: _signed({**HEADER, "alg": ["HS256"]}, PAYLOAD),
    "alg missing": lambda: _signed({"kid": KID}, PAYLOAD),
    "alg Ed448": lambda: _signed({**HEADER, "alg": "Ed448"}, PAYLOAD),
    "alg HS512": lambda: _other_algorithm("HS512", secret() * 2),
    "EdDSA with an HMAC": lambda: _signed(EDDSA, PAYLOAD),
    "EdDSA with two HMACs": lambda: _twice(_signed(EDDSA, PAYLOAD)),
    "HS256 with two HMACs": lambda: _twice(sign()),
    "HS256 with an Ed25519 signature": lambda: _signed_with_ed25519(HEADER, PAYLOAD),
    "HS256 with half of an Ed25519 signature": lambda: _half(_signed_with_ed25519(HEADER, PAYLOAD)),
    "EdDSA of another key": lambda: _eddsa_of_another_key(),
    "EdDSA with another payload": lambda: _eddsa_with_another_payload(),
    "HS256 with the public key": lambda: _hs256_with(token_pair()[1].encode()),
    "HS256 with the raw public key": lambda: _hs256_with(private_key().public_key().public_bytes_raw()),
    "HS256 without a secret": lambda: _hs256_with(b""),
    "RS256": lambda: _other_algorithm("RS256", _rsa_key()),
    "kid missing": lambda: _signed({"alg": "HS256"}, PAYLOAD),
    "kid empty": lambda: _header(kid=""),
    "kid a number": lambda: _header(kid=1),
    "kid null": lambda: _header(kid=None),
    "kid a path": lambda: _header(kid="../../etc/passwd"),
    "kid SQL": lambda: _header(kid="' OR 1=1 --"),
    "kid too long": lambda: _header(kid="x" * 33),
    "kid NUL": lambda: _header(kid="a\0b"),
    "kid a line end": lambda: _header(kid=KID + "\n"),
    "crit": lambda: _header(crit=["exp"]),
    "jwk": lambda: _header(jwk={"kty": "OKP"}),
    "jku": lambda: _header(jku="https://evil.example/keys"),
    "x5u": lambda: _header(x5u="https://evil.example/cert"),
    "b64": lambda: _header(b64=False),
    "header twice the kid": lambda: _signed(b'{"alg":"HS256","kid":"' + KID.encode() + b'","kid":"x"}', PAYLOAD),
    "header twice the alg": lambda: _signed(b'{"alg":"none","alg":"HS256","kid":"' + KID.encode() + b'"}', PAYLOAD),
    "header a list": lambda: _signed([HEADER], PAYLOAD),
    "header a string": lambda: _signed("HS256", PAYLOAD),
    "header no JSON": lambda: _signed(b"{alg:HS256}", PAYLOAD),
    "header not UTF-8": lambda: _signed(b'{"alg":"HS256","kid":"\xff"}', PAYLOAD),
    "header deeply nested": lambda: _signed(b"[" * 190, PAYLOAD),
    "header large": lambda: _header(typ="x" * 300),
    "payload a list": lambda: _signed(HEADER, [PAYLOAD]),
    "payload a number": lambda: _signed(HEADER, 1),
    "payload no JSON": lambda: _signed(HEADER, b"x"),
    "payload not UTF-8": lambda: _signed(HEADER, b'{"aud":"\xff"}'),
    "payload deeply nested": lambda: _signed(HEADER, b"[" * 5000),
    "payload empty": lambda: _signed(HEADER, {}),
    "two exps": lambda: _signed(HEADER, json.dumps(PAYLOAD)[:-1].encode() + b',"exp":99999999999}'),
    "two auds": lambda: _signed(HEADER, json.dumps(PAYLOAD)[:-1].encode() + b',"aud":"c"}'),
    "two urls": lambda: _signed(HEADER, json.dumps(PAYLOAD)[:-1].encode() + b',"u":"https://evil.example"}'),
    "aud a list": lambda: _payload(aud=["c"]),
    "aud of both": lambda: _payload(aud=["o", "c"]),
    "aud another": lambda: _payload(aud="x"),
    "aud missing": lambda: _signed(HEADER, _without("aud")),
    "exp missing": lambda: _signed(HEADER, _without("exp")),
    "exp null": lambda: _payload(exp=None),
    "exp text": lambda: _payload(exp=str(EXPIRES)),
    "exp a fraction": lambda: _payload(exp=EXPIRES + 0.5),
    "exp true": lambda: _payload(exp=True),
    "exp negative": lambda: _payload(exp=-1),
    "exp endless": lambda: _payload(exp=1e400),
    "exp huge": lambda: _payload(exp=10**30),
    "exp past": lambda: _payload(exp=ISSUED - 1),
    "iat missing": lambda: _signed(HEADER, _without("iat")),
    "iat text": lambda: _payload(iat="now"),
    "batch missing": lambda: _signed(HEADER, _without("m")),
    "batch null": lambda: _payload(m=None),
    "mode missing": lambda: _signed(HEADER, _without("t")),
    "mode off": lambda: _payload(t=1),
    "mode unknown": lambda: _payload(t=9),
    "mode text": lambda: _payload(t="4"),
    "reader missing": lambda: _signed(HEADER, _without("w")),
    "reader a list": lambda: _payload(w=["a"]),
    "delivery text": lambda: _payload(i="7"),
    "delivery out of range": lambda: _payload(i=2**63),
    "url missing": lambda: _signed(HEADER, _without("u")),
    "url empty": lambda: _payload(u=""),
    "url a list": lambda: _payload(u=["https://x.example"]),
}  # fmt: skip


def _hs256_with(key: bytes) -> str:
    """The classic confusion: the public key as the secret of an HMAC."""
    text = f"{_segment(HEADER)}.{_segment(PAYLOAD)}"
    return f"{text}.{_segment(hmac.digest(key, text.encode(), hashlib.sha256))}"


def _signature(token: str) -> bytes:
    encoded = token.rpartition(".")[2]
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def _twice(token: str) -> str:
    return f"{token.rpartition('.')[0]}.{_segment(_signature(token) * 2)}"


def _half(token: str) -> str:
    return f"{token.rpartition('.')[0]}.{_segment(_signature(token)[:32])}"


def _eddsa_of_another_key() -> str:
    text = f"{_segment(EDDSA)}.{_segment(PAYLOAD)}"
    return f"{text}.{_segment(Ed25519PrivateKey.generate().sign(text.encode()))}"


def _eddsa_with_another_payload() -> str:
    header, _, signature = _signed_with_ed25519(EDDSA, PAYLOAD).split(".")
    return f"{header}.{_segment({**PAYLOAD, 'u': '//evil.example'})}.{signature}"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tokens_are_refused(name: str) -> None:
    assert accepts(HOSTILE[name]()) is None


def test_there_are_enough_hostile_tokens() -> None:
    assert len(HOSTILE) >= 60
    assert accepts(_signed(HEADER, PAYLOAD)) == CLAIMS  # the way they are made makes good ones too
    assert accepts(_header(typ="JWT")) == CLAIMS
    assert accepts(_signed_with_ed25519(EDDSA, PAYLOAD)) == CLAIMS


def test_a_token_of_an_earlier_version_is_valid_until_it_expires() -> None:
    token = _signed_with_ed25519(EDDSA, PAYLOAD)
    assert accepts(token, at=timedelta(days=90) - timedelta(seconds=1)) == CLAIMS
    assert accepts(token, at=timedelta(days=90)) is None
    assert accepts(token, Channel.OPEN) is None


def test_only_ed25519_keys_are_keys() -> None:
    pem = _rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="Ed25519"):
        TokenVerifier(pem)


# The identity in a token by mode, taken from real mails.

PAGE = '<a href="https://x.example/1"><a href="https://x.example/2"></body>'


def claims_of(mode: TrackingMode, secret: bytes = b"s" * 16, address: str = "anna@reader.example") -> list[Claims]:
    to = delivery(address, policy=TrackingPolicy(mode, mode), secret=secret)
    html = texts(build(batch(PAGE), to).body)[1]
    found = []
    for piece in html.split(f"https://stats.{DOMAIN}/")[1:]:
        sealed = parse_token(piece[2 : piece.index('"')])
        assert sealed is not None
        claims = token_verifier().verify(sealed, Channel(piece[0]), NOW)
        assert claims is not None
        found.append(claims)
    return found


@pytest.mark.parametrize("mode", [TrackingMode.IDENTIFIED, TrackingMode.FULL])
def test_identified_recipients_are_named(mode: TrackingMode) -> None:
    found = claims_of(mode)
    assert [c.email for c in found] == ["anna@reader.example"] * 3
    assert {(c.mode, c.delivery_id, c.message_id, c.domain) for c in found} == {(mode, 7, MESSAGE_ID, DOMAIN)}


def test_a_pseudonym_is_shared_by_the_links_of_a_delivery_and_by_its_retries_only() -> None:
    found = claims_of(TrackingMode.PSEUDONYMOUS)
    assert len({c.email for c in found}) == 1
    assert found[0].email == tracking_address(make_pseudonym(b"s" * 16), DOMAIN)
    assert {c.delivery_id for c in found} == {0}
    assert claims_of(TrackingMode.PSEUDONYMOUS) == found
    other = claims_of(TrackingMode.PSEUDONYMOUS, secret=b"t" * 16)
    assert other[0].email != found[0].email
    name, _, host = found[0].email.partition("@")
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")
    assert host == f"track.{DOMAIN}"


def test_a_pseudonymous_mail_names_its_recipient_nowhere_in_its_tokens() -> None:
    html = texts(
        build(batch(PAGE), delivery(policy=TrackingPolicy(TrackingMode.PSEUDONYMOUS, TrackingMode.ANONYMOUS))).body
    )[1]
    for piece in html.split(f"https://stats.{DOMAIN}/")[1:]:
        payload = piece[2 : piece.index('"')].split(".")[1]
        data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        assert b"anna" not in data
        assert b'"i"' not in data


def test_anonymous_urls_are_the_same_for_all() -> None:
    everyone = TrackingPolicy(TrackingMode.ANONYMOUS, TrackingMode.ANONYMOUS)
    one = texts(build(batch(PAGE), delivery(policy=everyone)).body)[1]
    other = texts(build(batch(PAGE), delivery("bert@reader.example", policy=everyone, secret=b"t" * 16, delivery_id=8),
                        now=NOW + timedelta(hours=5)).body)[1]  # fmt: skip
    assert one == other
    assert {c.email for c in claims_of(TrackingMode.ANONYMOUS)} == {anonymous_address(DOMAIN)}
    assert {c.delivery_id for c in claims_of(TrackingMode.ANONYMOUS)} == {0}


def test_axes_are_independent() -> None:
    to = delivery(policy=TrackingPolicy(TrackingMode.FULL, TrackingMode.ANONYMOUS))
    html = texts(build(batch(PAGE), to).body)[1]
    modes = []
    for piece in html.split(f"https://stats.{DOMAIN}/")[1:]:
        sealed = parse_token(piece[2 : piece.index('"')])
        assert sealed is not None
        claims = token_verifier().verify(sealed, Channel(piece[0]), NOW)
        assert claims is not None
        modes.append((claims.channel, claims.mode))
    click, open_ = (Channel.CLICK, TrackingMode.ANONYMOUS), (Channel.OPEN, TrackingMode.FULL)
    assert modes == [click, click, open_]
