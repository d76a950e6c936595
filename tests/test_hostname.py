"""The names of this host, from the configuration and from the machine."""

import socket

import pytest
from typer.testing import CliRunner

from kannon.cli import app
from kannon.config import Config, Sender, Smtp
from kannon.hostname import name_host


@pytest.mark.parametrize(
    ("sender", "smtp", "names"),
    [
        ("", "", ("node.example", "node.example")),
        ("mail.example", "", ("mail.example", "mail.example")),
        ("", "mx.example", ("node.example", "mx.example")),
        ("mail.example", "mx.example", ("mail.example", "mx.example")),
    ],
)
def test_both_names_come_from_the_configuration_or_the_machine(
    sender: str, smtp: str, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    monkeypatch.setattr(socket, "getfqdn", lambda: "node.example")
    config = name_host(Config(sender=Sender(hostname=sender), smtp=Smtp(hostname=smtp)))
    assert (config.sender.hostname, config.smtp.hostname) == names


def test_check_prints_the_names_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node.example")
    shown = CliRunner().invoke(app, ["check", "--config", "kannon.toml.example"])
    assert (shown.exit_code, shown.output.count('hostname = "node.example"')) == (0, 2)


def test_a_full_name_needs_no_dns_query(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> str:
        raise AssertionError

    monkeypatch.setattr(socket, "getfqdn", asked)
    monkeypatch.setattr(socket, "gethostname", lambda: "node.example")
    assert name_host(Config()).smtp.hostname == "node.example"
    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    assert name_host(Config(sender=Sender(hostname="node"))).smtp.hostname == "node"
