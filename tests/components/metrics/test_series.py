"""Counters, timings and label names, by adding to them."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from kannon.metrics.series import BUCKETS, OTHER, Count, Timing, TopLabels


def lines(collector: Count | Timing) -> list[str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_a_counter_counts_by_label_and_knows_its_zeros() -> None:
    count = Count("mails", "Mails.", ["verdict", "code"], [("delivered", "2xx")])
    assert lines(count) == ['mails_total{code="2xx",verdict="delivered"} 0.0']
    count.add("delivered", "2xx", amount=3)
    count.add("refused", "5xx")
    assert lines(count) == [
        'mails_total{code="2xx",verdict="delivered"} 3.0',
        'mails_total{code="5xx",verdict="refused"} 1.0',
    ]
    bare = Count("built", "Built.")
    assert lines(bare) == ["built_total 0.0"]


@pytest.mark.parametrize("number", [3, 2500])
def test_a_timing_sorts_into_buckets_however_many_come(number: int) -> None:
    timing = Timing("took", "Took.", "work", ["send", "build"])
    for _ in range(number):
        timing.add("send", 0.02)
    timing.add_all("send", [0.005, 1e9, -1.0])
    found = lines(timing)
    assert 'took_bucket{le="0.005",work="send"} 2.0' in found
    assert f'took_bucket{{le="0.025",work="send"}} {number + 2}.0' in found
    assert f'took_bucket{{le="86400.0",work="send"}} {number + 2}.0' in found
    assert f'took_bucket{{le="+Inf",work="send"}} {number + 3}.0' in found
    assert f'took_count{{work="send"}} {number + 3}.0' in found
    assert 'took_count{work="build"} 0.0' in found
    assert len([line for line in found if line.startswith("took_bucket")]) == 2 * (len(BUCKETS) + 1)
    assert lines(timing) == found


def test_only_the_busiest_have_a_name() -> None:
    names = TopLabels(often=3, most=2, remembered=5)
    assert [names.label("gmail.com") for _ in range(5)] == [OTHER] * 3 + ["gmail.com"] * 2
    for number in range(100):
        assert names.label(f"small{number}.example") == OTHER
    assert names.label("gmail.com") == "gmail.com"
    for _ in range(4):
        last = names.label("outlook.com")
    assert last == "outlook.com"
    for _ in range(10):
        last = names.label("third.example")
    assert last == OTHER
    assert len(names._seen) <= 5
