"""The names of this host, from the configuration and from the machine."""

import socket

import pytest
from typer.testing import CliRunner

from kannon.cli import app
from kannon.config import Bump, Config, Sender, Smtp
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
    assert (shown.exit_code, shown.output.count('hostname = "node.example"')) == (0, 3)  # sender, smtp, submission


def test_a_full_name_needs_no_dns_query(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> str:
        raise AssertionError

    monkeypatch.setattr(socket, "getfqdn", asked)
    monkeypatch.setattr(socket, "gethostname", lambda: "node.example")
    assert name_host(Config()).smtp.hostname == "node.example"
    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    assert name_host(Config(sender=Sender(hostname="node"))).smtp.hostname == "node"


@pytest.mark.parametrize(
    ("mode", "bump", "base_url"),
    [
        ("sandbox", Bump(), "http://127.0.0.1:8080"),
        ("sandbox", Bump(listen="[::]:81"), "http://[::1]:81"),
        ("sandbox", Bump(listen="10.0.0.1:80"), "http://10.0.0.1:80"),
        ("sandbox", Bump(listen="127.0.0.1:0"), ""),
        ("sandbox", Bump(base_url="https://stats.example"), "https://stats.example"),
        ("direct", Bump(), ""),
    ],
)
def test_links_of_sandboxed_mail_lead_to_this_machine(mode: str, bump: Bump, base_url: str) -> None:
    sender = Sender.model_validate({"hostname": "me.test", "mode": mode})
    assert name_host(Config(sender=sender, bump=bump)).bump.base_url == base_url


def test_check_prints_the_base_url_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANNON_SENDER__MODE", "sandbox")
    shown = CliRunner().invoke(app, ["check", "--config", "kannon.toml.example"])
    assert 'base_url = "http://127.0.0.1:8080"\n' in shown.output
