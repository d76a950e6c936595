"""The HTTP client that posts to customers' URLs: every kind of answer, and every address that it refuses."""

import socket
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from kannon.dns_lookup import make_lookup
from kannon.mail.dns.records import Kind
from kannon.outbound.http_post import ANSWER_BYTES, Posted, Poster
from tests.support.certificates import make_authority
from tests.support.dns_server import DnsServer, serving_dns
from tests.support.endpoint import DRIP, DRIP_BODY, EARLY, GARBAGE, GIGABYTE, HANG, ScriptedEndpoint, endpoint
from tests.support.patience import patience


async def post(at: ScriptedEndpoint, *, seconds: float = 30.0) -> Posted:
    async with Poster(allow_private=True, seconds=seconds) as poster:
        return await poster.post(at.url, {"x-test": "yes"}, b"{}")


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        ("200", 200, ""),
        ("204", 204, ""),
        ("301 location: http://127.0.0.1:9/", 301, "answered 301, a redirect, which is not followed"),
        ("308 location: /other", 308, "answered 308, a redirect, which is not followed"),
        ("400", 400, "answered 400"),
        ("410", 410, "answered 410"),
        ("500", 500, "answered 500"),
        (EARLY, 0, "closed the connection without an answer"),
    ],
)
async def test_an_answer_is_its_status(answer: str, status: int, problem: str) -> None:
    async with endpoint(lambda number: answer) as at:
        posted = await post(at)
        assert (posted.status, posted.problem, len(at.requests)) == (status, problem, 1)
        assert at.requests[0].headers["x-test"] == "yes"
        if answer not in ("204", EARLY):
            assert posted.answer == f"said {status}"


async def test_what_is_no_http_is_a_failure() -> None:
    async with endpoint(lambda number: GARBAGE) as at:
        posted = await post(at)
    assert posted.status == 0
    assert "its answer is no HTTP" in posted.problem


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("Fri, 01 Jan 2100 00:00:00 GMT", None), ("soon", 0), ("-5", 0), ("99999999999999", 10**8)],
)
async def test_retry_after_is_seconds_or_a_date(text: str, seconds: int | None) -> None:
    async with endpoint(lambda number: f"429 retry-after: {text}") as at:
        found = (await post(at)).retry_after
    if seconds is None:
        assert found is not None
        assert found.days > 365
    else:
        assert (found.total_seconds() if found is not None else 0) == seconds


@pytest.mark.parametrize("answer", [HANG, DRIP])
async def test_an_answer_that_does_not_come_in_time_is_a_failure(answer: str) -> None:
    async with endpoint(lambda number: answer) as at:
        with patience():
            posted = await post(at, seconds=0.3)
    assert (posted.status, posted.problem) == (0, "no answer within 0.3 s")


@pytest.mark.parametrize("answer", [GIGABYTE, DRIP_BODY])
async def test_a_body_without_end_is_not_read(answer: str) -> None:
    async with endpoint(lambda number: answer) as at:
        with patience():
            posted = await post(at)
        assert (posted.status, posted.problem) == (200, "")
        assert len(posted.answer) <= ANSWER_BYTES
        assert at._written < 64 << 20


async def test_connections_are_used_again() -> None:
    async with endpoint() as at, Poster(allow_private=True) as poster:
        for _ in range(20):
            assert (await poster.post(at.url, {}, b"{}")).status == 200
        assert at.connections == 1


@pytest.mark.parametrize(
    ("host", "expired", "trusted", "problem"),
    [
        ("good.test", False, True, ""),
        ("good.test", True, True, "its certificate is not valid: certificate has expired"),
        ("other.test", False, True, "its certificate is not valid: Hostname mismatch"),
        ("good.test", False, False, "its certificate is not valid: unable to get local issuer certificate"),
    ],
)
async def test_certificates_are_verified(host: str, expired: bool, trusted: bool, problem: str, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)

    async def resolve(name: str) -> Sequence[str]:
        assert name == "good.test"
        return ["127.0.0.1"]

    async with endpoint(tls=authority.issue(host, expired=expired), host="good.test") as at:
        ca_file = authority.pem if trusted else ""
        async with Poster(allow_private=True, ca_file=ca_file, resolve=resolve) as poster:
            posted = await poster.post(at.url, {}, b"{}")
    assert posted.problem.startswith(problem)
    assert bool(posted.problem) is bool(problem)
    assert len(at.requests) == (0 if problem else 1)


PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fd00::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "2130706433",
    "0x7f000001",
    "127.1",
    "localhost",
]


@pytest.mark.parametrize("host", PRIVATE)
async def test_private_addresses_are_refused_however_they_are_written(host: str) -> None:
    async with endpoint() as at:
        async with Poster() as poster:
            posted = await poster.post(f"http://{host}:{at.port}/hook", {}, b"{}")
        assert posted.status == 0
        assert posted.problem.endswith(("is not a public address", "is not a canonical IPv4 address")), posted.problem
        assert (at.connections, at.requests) == (0, [])


async def test_a_name_that_leads_to_private_addresses_is_refused() -> None:
    zone = {("inside.test", "A"): ["127.0.0.1", "10.0.0.1"], ("inside.test", "AAAA"): ["::ffff:127.0.0.1", "::1"]}
    async with endpoint(host="inside.test") as at, serving_dns(DnsServer(zone)) as dns:
        look_up = make_lookup([dns])
        async with Poster(resolve=lambda name: look_up(name, Kind.ADDRESS)) as poster:
            posted = await poster.post(at.url, {}, b"{}")
        assert "is not a public address" in posted.problem
        assert at.connections == 0


async def test_the_address_that_is_checked_is_the_one_connected_to() -> None:
    """A name server that answers with a public address first and with a private one next gains nothing: there is one
    look-up, and the socket's own address is checked."""
    answers = [["192.0.32.8"], ["127.0.0.1"]]
    asked: list[str] = []

    async def rebinding(name: str) -> Sequence[str]:
        asked.append(name)
        return answers[min(len(asked), len(answers)) - 1]

    async with endpoint(host="rebind.test") as at:
        for _ in range(2):
            async with Poster(resolve=rebinding, seconds=0.3) as poster:
                assert (await poster.post(at.url, {}, b"{}")).status == 0
        assert asked == ["rebind.test"] * 2
        assert at.connections == 0


async def test_a_port_where_nothing_listens_is_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with Poster(allow_private=True) as poster:
            posted = await poster.post(f"http://127.0.0.1:{taken.getsockname()[1]}/", {}, b"{}")
    assert posted.status == 0
    assert posted.problem.startswith("cannot be reached")


async def test_a_name_that_does_not_exist_is_a_failure() -> None:
    async def nothing(name: str) -> Sequence[str]:
        return []

    async with Poster(resolve=nothing) as poster:
        with anyio.fail_after(30):
            posted = await poster.post("https://gone.test/", {}, b"{}")
    assert posted.problem == "cannot be reached: gone.test has no address"
