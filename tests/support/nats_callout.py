"""An auth callout service: nats-server asks it about each connection, and its answer limits the connection's time.

In: the server's requests on $SYS.REQ.USER.AUTH. Out: a signed user claim that expires, or a refusal. It uses the
formats of github.com/nats-io/jwt (claims) and github.com/nats-io/nkeys (names of keys).
"""

import binascii
import json
import time
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.msg import Msg

USER = "callout"
_ACCOUNT_PREFIX = 0  # nkeys: the name of an account's key begins with A
_ACCOUNT = "$G"


class AuthCallout:
    """`seconds`: how long a connection that it accepts lasts, without an end if None. `refusing`: it accepts none."""

    def __init__(self, seconds: int | None) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.seconds = seconds
        self.refusing = False

    @property
    def issuer(self) -> str:
        named = bytes([_ACCOUNT_PREFIX]) + self._key.public_key().public_bytes_raw()
        return b32encode(named + binascii.crc_hqx(named, 0).to_bytes(2, "little")).decode().rstrip("=")

    @property
    def settings(self) -> str:
        """The part of nats-server's authorization block that names this service."""
        return f"auth_callout {{ issuer: {self.issuer}, auth_users: [ {USER} ] }}"

    @asynccontextmanager
    async def running(self, url: str) -> AsyncIterator[None]:
        client = await nats.connect(url, allow_reconnect=False, max_reconnect_attempts=1)
        await client.subscribe("$SYS.REQ.USER.AUTH", cb=self._answer)
        await client.flush()
        yield
        await client.close()

    async def _answer(self, request: Msg) -> None:
        asked = _claims(request.data)["nats"]
        answer: dict[str, str] = {"error": "refused"} if self.refusing else {"jwt": self._user(asked["user_nkey"])}
        token = self._sign(
            sub=asked["user_nkey"],
            aud=asked["server_id"]["id"],
            nats={"type": "authorization_response", "version": 2, **answer},
        )
        await request.respond(token.encode())

    def _user(self, key: str) -> str:
        end: dict[str, Any] = {} if self.seconds is None else {"exp": int(time.time()) + self.seconds}
        unlimited: dict[str, Any] = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        return self._sign(sub=key, aud=_ACCOUNT, name="kannon", nats={"type": "user", "version": 2, **unlimited}, **end)

    def _sign(self, **claims: Any) -> str:
        full = {"iss": self.issuer, "iat": int(time.time()), "jti": binascii.hexlify(self._key.sign(b"")).decode()}
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, full | claims)
        signed = ".".join(_encode(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_encode(self._key.sign(signed.encode()))}"


def _claims(token: bytes) -> Any:
    middle = token.split(b".")[1]
    return json.loads(urlsafe_b64decode(middle + b"=" * (-len(middle) % 4)))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
