"""Master keys: what one encrypts in a place, it decrypts there and nowhere else."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kannon.mail.master_key import (
    MasterKey,
    SecretDamaged,
    is_encrypted,
    key_id,
    parse_master_keys,
    show_master_key,
)

NONCE = bytes(range(12))


def test_the_stored_text_is_what_aes_gcm_makes() -> None:
    """Decrypted by cryptography alone, from the text's description."""
    [key] = parse_master_keys("22" * 32)
    stored = key.encrypt("hello", "dkim_keys/a.example/kannon", NONCE)
    name, id_, body = stored.split(".")
    assert (name, id_) == ("aes1", key.id)
    sealed = b64decode(body)
    plain = AESGCM(b"\x22" * 32).decrypt(sealed[:12], sealed[12:], b"dkim_keys/a.example/kannon")
    assert plain == b"hello"
    assert sealed[:12] == NONCE
    assert is_encrypted(stored)
    assert key_id(stored) == key.id
    assert "22" * 8 not in repr(key)


@pytest.mark.parametrize("secret", ["", "x", "whsec_abc", "-----BEGIN PRIVATE KEY-----\nü\n"])
def test_a_secret_comes_back(secret: str) -> None:
    [key] = parse_master_keys(show_master_key(b"k" * 32))
    assert key.decrypt(key.encrypt(secret, "p", NONCE), "p") == secret


def _swap(stored: str, at: int) -> str:
    return stored[:at] + ("A" if stored[at] != "A" else "B") + stored[at + 1 :]


def test_each_changed_character_and_another_place_are_damage() -> None:
    [key] = parse_master_keys("33" * 32)
    stored = key.encrypt("a secret", "p/1", NONCE)
    begin = stored.rindex(".") + 1
    for at in range(begin, len(stored.rstrip("="))):
        with pytest.raises(SecretDamaged, match="p/1: damaged"):
            key.decrypt(_swap(stored, at), "p/1")
    for wrong in ("p/2", "p/1/previous", ""):
        with pytest.raises(SecretDamaged):
            key.decrypt(stored, wrong)
    for cut in (stored[:-1], stored[: begin + 4], stored[:begin], "aes1.", "aes1.x.y", stored + "\n"):
        with pytest.raises(SecretDamaged):
            key.decrypt(cut, "p/1")


def test_keys_are_base64_or_hexadecimal_and_several() -> None:
    hexadecimal, base64 = "44" * 32, show_master_key(b"\x44" * 32)
    one, two = parse_master_keys(f"{hexadecimal},{base64}")
    assert isinstance(one, MasterKey)
    assert one.id == two.id
    assert parse_master_keys(" \n") == ()
    assert len({key.id for key in parse_master_keys(f"{hexadecimal} {'45' * 32}\n{'46' * 32}")}) == 3


@pytest.mark.parametrize("text", ["x", "44" * 31, show_master_key(b"k" * 16), "ä" * 44, "=" * 44, "44" * 32 + ";"])
def test_other_texts_are_no_keys(text: str) -> None:
    with pytest.raises(ValueError, match="32 random bytes in base64"):
        parse_master_keys(text)
