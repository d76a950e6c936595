"""The life cycle of a DKIM key: selectors, transitions, and how long a retired key must be published."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kannon.components.dispatcher.inputs import CACHE_SECONDS
from kannon.errors import FailedPrecondition
from kannon.mail.build.dkim import ED25519_SHA256, RSA_SHA256
from kannon.mail.dns.dkim_keys import (
    KEY_CACHE_TIME,
    KeyState,
    RegisteredKey,
    check_deletable,
    check_published,
    check_transition,
    next_selector,
)

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WINDOW = timedelta(hours=24)
RSA = RegisteredKey("example.com", "kannon2", RSA_SHA256, "KEY", KeyState.NEXT, AT)
RETIRED = replace(RSA, state=KeyState.RETIRED, retired_at=AT)
ED = replace(RSA, algorithm=ED25519_SHA256)


@pytest.mark.parametrize(
    ("used", "selector"),
    [
        ([], "kannon"),
        (["kannon"], "kannon2"),
        (["kannon2"], "kannon3"),
        (["kannon9", "kannon", "kannon10"], "kannon11"),
        (["mail", "kannon-7", "Kannon8", "kannonx", "kannon3 "], "kannon"),
        (["kannon" + "9" * 40], "kannon"),
    ],
)
def test_selectors_are_never_reused(used: list[str], selector: str) -> None:
    assert next_selector(used) == selector


def allowed(key: RegisteredKey, wanted: KeyState) -> bool:
    try:
        check_transition(key, wanted)
    except FailedPrecondition:
        return False
    return True


@pytest.mark.parametrize("key", [RSA, ED], ids=["rsa", "ed25519"])
def test_transitions(key: RegisteredKey) -> None:
    moves = {(a.value, b.value) for a in KeyState for b in KeyState if allowed(replace(key, state=a), b)}
    either = {("next", "active"), ("next", "deleted"), ("retired", "active"), ("retired", "deleted")}
    assert moves == (either if key is RSA else either | {("active", "retired")})


def test_a_retired_key_is_needed_until_its_mail_is_delivered() -> None:
    until = AT + KEY_CACHE_TIME + WINDOW
    for key, now, needed in [
        (RETIRED, AT, True),
        (RETIRED, until - timedelta(seconds=1), True),
        (RETIRED, until, False),
        (replace(RETIRED, under_way=True), until + timedelta(days=9), True),
        (RSA, AT, True),
        (replace(RSA, state=KeyState.ACTIVE), AT, True),
        (replace(RETIRED, state=KeyState.DELETED, deleted_at=AT), AT, False),
    ]:
        assert key.must_be_published(now, WINDOW) is needed
    with pytest.raises(FailedPrecondition, match=r"needed until 2026-03-05T05:08:07\+00:00"):
        check_deletable(RETIRED, AT, WINDOW)
    with pytest.raises(FailedPrecondition, match="have no outcome yet"):
        check_deletable(replace(RETIRED, under_way=True), until, WINDOW)
    check_deletable(RETIRED, until, WINDOW)
    check_deletable(RSA, AT, WINDOW)  # it never signed


def test_the_cache_time_covers_a_dispatchers_cache() -> None:
    assert timedelta(seconds=CACHE_SECONDS) < KEY_CACHE_TIME


def test_an_unpublished_record_is_named() -> None:
    check_published(RSA, ["v=DKIM1; p=KEY"])
    with pytest.raises(FailedPrecondition) as refused:
        check_published(RSA, ["v=DKIM1; p=OLD"])
    assert str(refused.value) == (
        "kannon2._domainkey.example.com TXT: publishes another key; expected: v=DKIM1; k=rsa; p=KEY"
    )
