"""An ACME server that lies, is broken or asks for patience: one line each, and nothing else."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kannon.acme.check import AcmeProblem
from kannon.acme.client import AcmeClient, new_private_key
from tests.support.certificates import make_authority

NAME = "stats.example.com"
Answers = dict[str, tuple[int, Any]]


class Liar:
    """Answers each path with a status and a body; the directory is right where it is not among them."""

    def __init__(self, folder: Path) -> None:
        ca = make_authority(folder)
        self.ca_file, self.answers = ca.pem, Answers()
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                status, body = liar.answer(self.path)
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Replay-Nonce", "AAAAAAAAAAAAAAAA")
                self.send_header("Location", f"{liar.url}/account")
                kind = "problem+json" if status >= 400 else "json"
                self.send_header("Content-Type", f"application/{kind}")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = ca.issue("localhost").wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, Any]:
        if path in self.answers:
            return self.answers[path]
        if path == "/dir":
            return 200, {name: f"{self.url}/{name}" for name in ("newNonce", "newAccount", "newOrder", "revokeCert")}
        if path == "/newAccount":
            return 201, {"status": "valid"}
        return 200, {}


@pytest.fixture
def liar(tmp_path: Path) -> Iterator[Liar]:
    liar = Liar(tmp_path)
    thread = threading.Thread(target=liar.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield liar
    liar.server.shutdown()
    thread.join()
    liar.server.server_close()


def problem(code: str, detail: str) -> dict[str, str]:
    return {"type": f"urn:ietf:params:acme:error:{code}", "detail": detail}


CASES: dict[str, tuple[Answers, str]] = {
    "no JSON": ({"/dir": (200, b"<html>")}, "not usable"),
    "an empty directory": ({"/dir": (200, {})}, "not usable"),
    "a list": ({"/dir": (200, [1, 2])}, "not usable"),
    "an error without a body": ({"/dir": (500, b"")}, "not usable"),
    "a bad nonce for ever": ({"/newAccount": (400, problem("badNonce", "no"))}, "badNonce: no"),
    "an account refused": ({"/newAccount": (403, problem("unauthorized", "go\naway"))}, "unauthorized: go away"),
    "no order": ({"/newOrder": (201, {})}, "not usable"),
    "an order of nothing": (
        {"/newOrder": (201, {"status": "ready", "identifiers": [], "authorizations": [], "finalize": "x:"})},
        NAME,
    ),
    "numbers for texts": ({"/newOrder": (201, {"status": 2**63, "authorizations": 7})}, "not usable"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_server_that_lies_is_one_line(liar: Liar, case: str) -> None:
    liar.answers, expected = CASES[case]
    with pytest.raises(AcmeProblem, match=expected) as found:
        client(liar).order(NAME, lambda token, answer: None)
    assert str(found.value).startswith(f"{NAME}: ")
    assert "\n" not in str(found.value)
    assert len(str(found.value)) <= 500
    assert not found.value.rate_limited


def test_a_name_that_was_not_ordered_gets_no_answer(liar: Liar) -> None:
    order = {"status": "pending", "identifiers": [], "authorizations": [f"{liar.url}/authz"], "finalize": liar.url}
    authorization = {"status": "pending", "identifier": {"type": "dns", "value": "bank.example"}, "challenges": []}
    liar.answers = {"/newOrder": (201, order), "/authz": (200, authorization)}
    published: list[str] = []
    with pytest.raises(AcmeProblem, match=r"asks for bank\.example"):
        client(liar).order(NAME, lambda token, answer: published.append(token))
    assert published == []


def test_a_rate_limit_is_told_apart(liar: Liar) -> None:
    liar.answers = {"/newOrder": (429, problem("rateLimited", "too many certificates"))}
    with pytest.raises(AcmeProblem, match="rateLimited: too many certificates") as found:
        client(liar).order(NAME, lambda token, answer: None)
    assert found.value.rate_limited


def test_a_server_with_an_untrusted_certificate(liar: Liar) -> None:
    lying = AcmeClient(f"{liar.url}/dir", "ops@example.org", new_private_key())
    with pytest.raises(AcmeProblem, match="cannot be reached"):
        lying.order(NAME, lambda token, answer: None)


def test_a_server_that_is_away() -> None:
    away = AcmeClient("https://localhost:9/dir", "ops@example.org", new_private_key())
    with pytest.raises(AcmeProblem, match="cannot be reached"):
        away.order(NAME, lambda token, answer: None)


def client(liar: Liar) -> AcmeClient:
    return AcmeClient(f"{liar.url}/dir", "ops@example.org", new_private_key(), liar.ca_file)
