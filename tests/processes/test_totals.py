"""The metrics of several processes as those of one, and how they get from one to the other."""

import pickle
import socket

import pytest
from prometheus_client import CollectorRegistry, Metric

from kannon.metrics import names
from kannon.metrics.metrics import Metrics
from kannon.processes.link import Link, pack, receive_blocking
from kannon.processes.totals import add_up, only_counted


def of_a_process(built: int, ready: int) -> list[Metric]:
    registry = CollectorRegistry(auto_describe=False)
    Metrics(registry).built(built, 0, 0.02 * built)
    component, connections, known = (
        spec.gauge() for spec in (names.COMPONENT_READY, names.SMTP_CONNECTIONS, names.SMTP_DESTINATIONS)
    )
    component.add_metric(["sender"], ready)
    connections.add_metric([], 3)
    known.add_metric(["up"], built)
    return [*registry.collect(), component, connections, known]


def values(families: list[Metric]) -> dict[str, float]:
    samples = (sample for family in families for sample in family.samples)
    return {" ".join([each.name, *each.labels.values()]): each.value for each in samples}


def test_counters_and_histograms_are_summed_and_gauges_by_their_rule() -> None:
    found = values(add_up([of_a_process(5, 1), of_a_process(7, 0)]))
    assert found["kannon_built_total"] == 12
    assert found["kannon_work_seconds_bucket build 0.025"] == 12
    assert found["kannon_work_seconds_bucket build 0.01"] == 0
    assert found["kannon_work_seconds_count build"] == 12
    assert found["kannon_work_seconds_sum build"] == pytest.approx(0.24)
    assert found["kannon_component_ready sender"] == 0
    assert found["kannon_smtp_connections"] == 6
    assert found["kannon_smtp_destinations up"] == 7


def test_one_process_is_unchanged() -> None:
    families = of_a_process(5, 1)
    assert values(add_up([families])) == values(families)


def test_what_an_ended_process_has_counted_stays() -> None:
    found = values(only_counted(of_a_process(5, 1)))
    assert found["kannon_built_total"] == 5
    assert "kannon_smtp_connections" not in found


async def test_a_link_carries_metrics_and_ends_with_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    left, right = await Link.open(ours), await Link.open(theirs)
    families = of_a_process(5, 1)
    left.send(families)
    left.send("ready")
    assert values(await right.receive()) == values(families)
    assert await right.receive() == "ready"
    await left.close()
    assert await right.receive() is None
    right.send("nobody reads this")
    await right.flush()
    await right.close()


@pytest.mark.parametrize("cut", [0, 2, 10])
def test_a_message_that_is_cut_off_is_the_end(cut: int) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(pack("an order")[:cut])
        assert receive_blocking(theirs) is None


def test_a_message_is_read_before_an_event_loop_runs() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pack(("an order", 2)))
        assert receive_blocking(theirs) == ("an order", 2)
        assert pickle.loads(pack("x")[4:]) == "x"
