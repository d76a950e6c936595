"""The shares of a destination's limits, computed from the senders' reports."""

import random

from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.destination import Destination, SenderView
from kannon.outbound.shares import ALONE, FORGET_SECONDS, UNREPORTED, Share, Shares, divide
from tests.support.effort import examples

SITE = "mx.example"


def report(sender: str, *, busy: int, connections: int, site: str = SITE) -> SenderView:
    return SenderView(sender, (Destination(site, busy, 0, connections, 10),), 1)


def empty(sender: str) -> SenderView:
    return SenderView(sender, (), 0)


def test_a_sender_alone_has_all_limits() -> None:
    shares = Shares("a")
    assert shares.share(SITE, 10) == ALONE
    shares.hear(report("a", busy=50, connections=10), 0.0)
    assert shares.share(SITE, 10) == ALONE


def test_a_destination_in_another_senders_report_only_gets_one_connection_and_no_rate() -> None:
    shares = Shares("b")
    shares.hear(report("a", busy=50, connections=10), 0.0)
    assert shares.share(SITE, 10) == UNREPORTED


def test_a_destination_in_no_report_gets_one_connection_and_an_equal_part_of_the_rate() -> None:
    shares = Shares("b")
    shares.hear(empty("a"), 0.0)
    shares.hear(empty("b"), 0.0)
    assert shares.share(SITE, 10) == Share(1, 0.5)


def test_a_newcomer_waits_for_the_connections_that_the_other_closes() -> None:
    old, new = Shares("a"), Shares("b")

    def hear(*views: SenderView) -> None:
        for view in views:
            old.hear(view, 0.0)
            new.hear(view, 0.0)

    hear(report("a", busy=50, connections=10), report("b", busy=50, connections=1))
    assert old.share(SITE, 10) == Share(5, 0.5)
    assert new.share(SITE, 10) == Share(1, 0.5)
    hear(report("a", busy=50, connections=7))
    assert new.share(SITE, 10).connections == 3
    hear(report("a", busy=50, connections=5), report("b", busy=50, connections=3))
    assert new.share(SITE, 10).connections == 5
    assert old.share(SITE, 10).connections == 5


def test_a_small_need_is_met_and_the_rest_goes_to_the_other() -> None:
    assert divide(10, {"a": 2, "b": 100}) == {"a": 2, "b": 8}


def test_a_share_beyond_the_need_is_divided_equally() -> None:
    assert divide(10, {"a": 0, "b": 2}) == {"a": 4, "b": 6}


def test_a_dead_sender_is_forgotten_but_not_by_a_sender_that_is_cut_off() -> None:
    shares = Shares("a")
    shares.hear(report("a", busy=50, connections=5), 0.0)
    shares.hear(report("b", busy=50, connections=5), 0.0)
    assert shares.share(SITE, 10).connections == 5  # however late: `a` hears nothing, not even itself
    shares.hear(report("a", busy=50, connections=5), FORGET_SECONDS + 1)
    assert shares.share(SITE, 10) == ALONE


@given(
    st.integers(1, 200), st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(0, 300), min_size=1)
)
def test_shares_add_up_to_the_limit(limit: int, needs: dict[str, int]) -> None:
    shares = divide(limit, needs)
    assert sum(shares.values()) == limit
    assert all(shares[name] >= min(need, limit // len(needs)) for name, need in needs.items())


@examples(15)
@given(st.integers(0, 1 << 32))
def test_senders_together_stay_within_the_limit_and_one_connection_each(seed: int) -> None:
    """Needs change at random; each sender reports once a round, and ends one connection in it."""
    chance = random.Random(seed)
    names = [f"s{n}" for n in range(chance.randint(2, 5))]
    limit = chance.randint(2, 20)
    senders = {name: Shares(name) for name in names}
    held = dict.fromkeys(names, 0)
    need = dict.fromkeys(names, 0)
    for name in names:
        for other in names:
            senders[name].hear(empty(other), 0.0)
    for _ in range(100):
        for name in names:
            if chance.random() < 0.1:
                need[name] = chance.choice([0, 1, 5, 50])
        views = {name: report(name, busy=need[name], connections=held[name]) for name in names}
        for name in chance.sample(names, len(names)):
            for view in views.values():  # one connection: all hear one order
                senders[name].hear(view, 0.0)
        for name in names:
            allowed = senders[name].share(SITE, limit).connections
            assert allowed is not None
            wanted = min(need[name], allowed)
            held[name] = wanted if wanted > held[name] else max(wanted, held[name] - 1)
        assert sum(held.values()) <= limit + len(names), (held, need, limit)
