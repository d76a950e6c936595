"""Every rule of kannon/runner, with scripted components and a clock that the test moves."""

import asyncio
import signal

import anyio
import pytest
from anyio.abc import TaskStatus
from structlog.testing import capture_logs

from kannon.errors import AddressInUse, ConfigError, OperatorError, Unavailable
from kannon.runner.backoff import Backoff
from tests.support.runner import Scripted, fail, hang, running, serve, serve_until, settle, stop_slowly

AWAY = Unavailable("NATS is away")


async def test_the_runner_is_ready_when_all_components_are() -> None:
    waiting = anyio.Event()

    async def slow_start(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        await waiting.wait()
        await serve(stop, task_status)

    async with running([Scripted("quick", serve), Scripted("slow", slow_start)]) as stage:
        assert stage.state("quick").phase == "ready"
        assert stage.state("slow").phase == "starting"
        assert not stage.ready()
        waiting.set()
        await settle()
        assert stage.ready()


async def test_a_failure_at_start_is_visible_and_tried_again() -> None:
    broken = Scripted("sender", fail(AWAY), serve)
    async with running([broken, Scripted("api", serve)]) as stage:
        state = stage.state("sender")
        assert (state.phase, state.reason, state.retry_seconds, state.restarts) == ("failed", "NATS is away", 0.5, 1)
        assert stage.state("api").phase == "ready"
        assert not stage.ready()
        await stage.clock.advance(0.4)
        assert broken.lives == 1
        assert stage.state("sender").retry_seconds == pytest.approx(0.1)
        await stage.clock.advance(0.1)
        assert broken.lives == 2
        assert stage.ready()
        assert stage.state("sender").reason == ""


async def test_a_failure_later_restarts_that_component_alone() -> None:
    lost = anyio.Event()
    broken, other = Scripted("stats", serve_until(lost, AWAY), serve), Scripted("api", serve)
    async with running([broken, other]) as stage:
        assert stage.ready()
        lost.set()
        await settle()
        assert stage.state("stats").phase == "failed"
        assert stage.state("api").phase == "ready"
        await stage.clock.advance(0.5)
        assert stage.ready()
        assert (broken.lives, other.lives) == (2, 1)


@pytest.mark.parametrize(
    ("error", "jitter", "expected"),
    [
        (RuntimeError("a bug"), 0.0, [0.5, 1, 2, 4, 8, 15, 15, 15]),
        (RuntimeError("a bug"), 0.5, [0.75, 1.5, 3, 6, 12, 22.5, 22.5, 22.5]),
        (AWAY, 0.0, [0.5, 1, 1, 1, 1]),  # so that a dependency's return is noticed soon
    ],
)
async def test_repeated_failures_wait_longer_up_to_a_limit(
    error: Exception, jitter: float, expected: list[float]
) -> None:
    broken = Scripted("sender", fail(error))
    async with running([broken], jitter=jitter) as stage:
        waits = []
        for _ in expected:
            seconds = stage.state("sender").retry_seconds
            assert seconds is not None
            waits.append(seconds)
            await stage.clock.advance(seconds)
        assert waits == expected
        assert broken.lives == len(expected) + 1


def test_no_wait_is_shorter_than_half_a_second_or_longer_than_thirty() -> None:
    shortest, longest = Backoff(lambda: 0.0), Backoff(lambda: 0.999999)
    waits = [b.delay(0.0) for b in (shortest, longest) for _ in range(12)]
    assert min(waits) == 0.5
    assert 29 < max(waits) < 30


@pytest.mark.parametrize(("healthy_seconds", "expected"), [(59.9, 1.0), (60.0, 0.5)])
async def test_a_healthy_minute_resets_the_wait(healthy_seconds: float, expected: float) -> None:
    lost = anyio.Event()
    broken = Scripted("sender", fail(AWAY), fail(AWAY), serve_until(lost, AWAY), serve)
    async with running([broken]) as stage:
        await stage.clock.advance(0.5)
        await stage.clock.advance(1.0)
        assert stage.ready()
        await stage.clock.advance(healthy_seconds)
        lost.set()
        await settle()
        assert stage.state("sender").retry_seconds == expected


async def test_ending_without_a_stop_is_a_failure() -> None:
    async def leave(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        task_status.started()

    async with running([Scripted("bump", leave, serve)]) as stage:
        assert stage.state("bump").reason == "RuntimeError: ended without a stop"
        await stage.clock.advance(0.5)
        assert stage.ready()


async def test_an_unrequested_cancellation_is_a_failure() -> None:
    async with running([Scripted("api", fail(asyncio.CancelledError()), serve)]) as stage:
        assert stage.state("api").phase == "failed"
        assert stage.state("api").reason.startswith("RuntimeError: cancelled by its own code")
        await stage.clock.advance(0.5)
        assert stage.ready()


async def test_a_bug_is_one_line_that_names_its_place_and_has_a_traceback_at_debug() -> None:
    async def buggy(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            raise ValueError("two\nlines")

    with capture_logs() as logs:
        async with running([Scripted("stats", buggy)]) as stage:
            reason = stage.state("stats").reason
    assert reason.startswith("ValueError: two lines (test_runner.py:")
    above_debug = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [entry["reason"] for entry in above_debug if entry["event"] == "failed"] == [reason]
    assert not any("exc_info" in entry for entry in above_debug)
    assert any("exc_info" in entry for entry in logs if entry["log_level"] == "debug")


@pytest.mark.parametrize("error", [AddressInUse("api.listen: 127.0.0.1:1 is in use"), ConfigError("configuration: x")])
async def test_an_operator_error_at_start_ends_the_process_in_order(error: OperatorError) -> None:
    other = Scripted("stats", serve)
    async with running([other], [Scripted("api", fail(error)), Scripted("bump", serve)]) as stage:
        assert stage.returned.is_set()
        assert stage.error is error
        assert {state.phase for state in stage.runner.states()} == {"ended"}


async def test_an_operator_error_is_found_at_the_bottom_of_a_group() -> None:
    error = AddressInUse("bump.listen: 0.0.0.0:80 is in use")
    group = ExceptionGroup("unhandled", [ExceptionGroup("inner", [OSError("x"), error])])
    async with running([Scripted("bump", fail(group))]) as stage:
        assert stage.error is error


async def test_an_operator_error_after_the_start_is_an_ordinary_failure() -> None:
    lost = anyio.Event()
    broken = Scripted("api", serve_until(lost, AWAY), fail(AddressInUse("api.listen: in use")), serve)
    async with running([broken]) as stage:
        lost.set()
        await settle()
        await stage.clock.advance(0.5)
        assert (stage.state("api").phase, stage.state("api").reason) == ("failed", "api.listen: in use")
        await stage.clock.advance(1.0)
        assert stage.ready()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_runner_after_open_work_is_finished(number: signal.Signals) -> None:
    finish = anyio.Event()
    async with running([Scripted("sender", stop_slowly(finish)), Scripted("api", serve)]) as stage:
        await stage.signal(number)
        assert stage.state("sender").phase == "stopping"
        assert stage.state("api").phase == "ended"
        assert not stage.returned.is_set()
        await stage.clock.advance(29.9)
        assert not stage.returned.is_set()
        finish.set()
        await stage.returned.wait()
        assert stage.error is None


async def test_a_component_that_does_not_stop_is_cancelled_at_the_deadline_and_named() -> None:
    cleaned = []

    async def stubborn(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(True)

    with capture_logs() as logs:
        async with running([Scripted("sender", stubborn), Scripted("api", serve)], stop_seconds=12.0) as stage:
            await stage.signal()
            await stage.clock.advance(11.9)
            assert not stage.returned.is_set()
            await stage.clock.advance(0.1)
            assert stage.returned.is_set()
            assert stage.error is None
    assert cleaned == [True]
    assert [entry["components"] for entry in logs if entry["event"] == "cancelled at the stop"] == ["sender"]


async def test_a_failure_while_stopping_does_not_restart_anything() -> None:
    async def fall(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await stop.wait()
        raise AWAY

    broken = Scripted("stats", fall)
    async with running([broken]) as stage:
        await stage.signal()
        assert stage.returned.is_set()
        assert stage.error is None
        assert broken.lives == 1


async def test_a_signal_during_the_start_does_not_wait_for_components_that_are_not_ready() -> None:
    async with running([Scripted("postgres", hang)], [Scripted("api", serve)]) as stage:
        assert stage.state("api").phase == "waiting"
        await stage.signal()
        assert stage.returned.is_set()
        assert stage.error is None


async def test_a_signal_ends_the_wait_for_the_next_try() -> None:
    broken = Scripted("sender", fail(AWAY))
    async with running([broken]) as stage:
        await stage.signal()
        assert stage.returned.is_set()
        assert broken.lives == 1


async def test_a_second_signal_cancels_at_once_and_a_third_ends_the_process() -> None:
    cleaning = anyio.Event()

    async def cleans_slowly(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await cleaning.wait()

    async with running([Scripted("api", hang), Scripted("sender", cleans_slowly)]) as stage:
        await stage.signal(signal.SIGTERM)
        assert stage.state("sender").phase == "stopping"
        await stage.signal(signal.SIGINT)
        assert stage.state("sender").phase == "stopping"  # cancelled; its shielded clean-up goes on
        assert stage.aborted == []
        await stage.signal(signal.SIGINT)
        assert stage.aborted == [1]
        cleaning.set()
        await stage.returned.wait()
        assert stage.error is None


async def test_layers_start_upwards_and_stop_downwards() -> None:
    ready, finish = anyio.Event(), anyio.Event()

    async def database(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        await ready.wait()
        await serve(stop, task_status)

    low, high = Scripted("postgres", database), Scripted("stats", stop_slowly(finish))
    async with running([low], [high]) as stage:
        assert (low.lives, high.lives) == (1, 0)
        assert (stage.state("stats").phase, stage.state("stats").reason) == ("waiting", "waiting for postgres")
        ready.set()
        await settle()
        assert stage.ready()
        await stage.signal()
        assert [state.phase for state in stage.runner.states()] == ["ready", "stopping"]
        finish.set()
        await stage.returned.wait()
        assert [state.phase for state in stage.runner.states()] == ["ended", "ended"]


async def test_a_lower_layer_that_fails_later_is_restarted_under_the_others() -> None:
    lost = anyio.Event()
    low, high = Scripted("postgres", serve_until(lost, AWAY), serve), Scripted("api", serve)
    async with running([low], [high]) as stage:
        lost.set()
        await settle()
        assert not stage.ready()
        assert stage.state("api").phase == "ready"
        await stage.clock.advance(0.5)
        assert stage.ready()
        assert (low.lives, high.lives) == (2, 1)


async def test_stop_has_the_effect_of_a_signal() -> None:
    async with running([Scripted("api", serve)]) as stage:
        stage.runner.stop()
        await stage.returned.wait()
        assert stage.error is None
