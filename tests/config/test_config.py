"""The configuration: defaults, overrides, all errors at once, and the example compared with the code."""

import re
import tomllib
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from typer.testing import CliRunner

from kannon.components.dispatcher.scheduler import PAGE_SECONDS
from kannon.config import (
    Config,
    Disk,
    Limit,
    Route,
    load_config,
    parse_duration,
    parse_size,
    reserve_bytes,
    show_duration,
    show_size,
    split_listen,
)
from kannon.config.model import SHORTEST_LEASE
from kannon.config.render import render
from kannon.errors import ConfigError
from tests.support.certificates import make_authority

EXAMPLE = Path("kannon.toml.example")


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kannon.toml in the working directory, no variables."""
    monkeypatch.setattr("kannon.config.load.PATHS", (tmp_path / "kannon.toml",))


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some.toml"
    file.write_text(text)
    return file


def test_every_key_has_a_default_without_a_file() -> None:
    config = load_config()
    assert config == Config()
    assert config.retry.first == timedelta(minutes=5)
    assert config.message.max_bytes == 25 * 1024 * 1024


def test_the_example_has_every_key_at_its_default() -> None:
    text = EXAMPLE.read_text()
    assert load_config(EXAMPLE) == Config()
    for name, keys in _keys(Config).items():
        for key in keys:
            assert re.search(rf"(?m)^{key} = ", _section(text, name)), f"{name}.{key} is not in the example"
    for model in (Route, Limit):
        for key in model.model_fields:
            assert re.search(rf"(?m)^# {key} = ", text), f"{model.__name__}.{key} is not in the example"


def test_every_key_of_the_example_has_a_line_of_text() -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [line for before, line in pairwise(lines) if re.match(r"\w+ = ", line) and not before]
    assert bare == []


def _keys(model: type[BaseModel]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"": []}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[name] = list(kind.model_fields)
        else:
            found[""].append(name)
    return found


def _section(text: str, name: str) -> str:
    parts = re.split(r"(?m)^\[(\w+)\]$", text)
    return parts[0] if not name else dict(zip(parts[1::2], parts[2::2], strict=True))[name]


def test_variables_override_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, '[sender]\nhostname = "a.example"\nport = 26\n')
    monkeypatch.setenv("KANNON_SENDER__HOSTNAME", "b.example")
    monkeypatch.setenv("KANNON_DNS__NAMESERVERS", '["127.0.0.1:5353"]')
    monkeypatch.setenv("KANNON_RETRY__FIRST", "1s")
    config = load_config(file)
    assert (config.sender.hostname, config.sender.port) == ("b.example", 26)
    assert config.dns.nameservers == ["127.0.0.1:5353"]
    assert config.retry.first == timedelta(seconds=1)


def test_all_errors_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        tmp_path,
        'data_dirr = "x"\n[sender]\nport = 99999\nhostnam = "x"\n[retry]\nfirst = "5x"\n[api]\nlisten = "nowhere"\n'
        '[components]\nenabled = ["api", "apy"]\n[[sender.routes]]\ndomain = "*"\nhost = "h"\ntls = "maybe"\n',
    )
    monkeypatch.setenv("KANNON_SENDR__HOSTNAME", "x")
    monkeypatch.setenv("KANNON_BUMP__LISTN", "x")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    lines = str(caught.value).splitlines()
    for key in (
        "data_dirr: unknown key",
        "sender.port:",
        "sender.hostnam: unknown key",
        "retry.first:",
        "api.listen:",
        "components.enabled.1:",
        "sender.routes.0.tls:",
        "KANNON_SENDR__HOSTNAME: unknown variable",
        "bump.listn: unknown key",
    ):
        assert sum(key in line for line in lines) == 1, key
    assert caught.value.exit_code == 78


def test_no_variable_of_the_command_line_is_taken_for_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    of_commands = set(
        re.findall(r'envvar="(KANNON_\w+)"', "".join(f.read_text() for f in Path("kannon/cli").rglob("*.py")))
    )
    of_launcher = set(re.findall(r'getenv\("(KANNON_\w+)"\)', Path("packaging/launcher.c").read_text()))
    assert {"KANNON_CONFIG", "KANNON_SERVER", "KANNON_TOKEN", "KANNON_CA", "KANNON_KEY"} <= of_commands
    assert of_launcher == {"KANNON_RUNTIME_DIR"}
    for name in of_commands | of_launcher:
        monkeypatch.setenv(name, "x")
    assert load_config() == Config()


def test_the_variables_of_a_kubernetes_service_named_kannon_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """For Services named kannon and kannon-smtp."""
    for service in ("KANNON", "KANNON_SMTP"):
        monkeypatch.setenv(f"{service}_SERVICE_HOST", "10.0.0.7")
        monkeypatch.setenv(f"{service}_SERVICE_PORT", "50051")
        monkeypatch.setenv(f"{service}_SERVICE_PORT_GRPC_WEB", "50051")
        monkeypatch.setenv(f"{service}_PORT", "tcp://10.0.0.7:50051")
        monkeypatch.setenv(f"{service}_PORT_50051_TCP", "tcp://10.0.0.7:50051")
        monkeypatch.setenv(f"{service}_PORT_50051_TCP_PROTO", "tcp")
        monkeypatch.setenv(f"{service}_PORT_50051_TCP_PORT", "50051")
        monkeypatch.setenv(f"{service}_PORT_50051_TCP_ADDR", "10.0.0.7")
    assert load_config() == Config()


@pytest.mark.parametrize(
    ("name", "value"),
    [("KANNON_SENDER_PORT", "26"), ("KANNON_PORT", "26"), ("KANNON_KEYS", "x"), ("KANNON_SMTP_LISTEN", "0.0.0.0:25")],
)
def test_a_misspelled_variable_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name}: unknown variable"):
        load_config()


WARM_UP = '[sender]\nsource_ips = ["192.0.2.7"]\n[[sender.warmup]]\nsince = 2026-12-01\n'
SAME = 'address = "192.0.2.7"'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port = [", "not TOML"),
        ("[components]\nenabled = []", "components.enabled"),
        ('[api]\ntls_cert = "x.pem"', "api.tls_cert and api.tls_key go together"),
        ('[retry]\nfirst = "5h"', "retry.first is longer than retry.max"),
        ("[nats]\nreplicas = 3", "nats.replicas is more than 1 without nats.url: the embedded NATS is a single server"),
        ('[postgres]\nurl = "mysql://x"', "postgres.url"),
        ('[nats]\nurl = "http://x"', "nats.url"),
        ('[bump]\nbase_url = "ftp://x"', "bump.base_url"),
        ('[bump]\ntrusted_proxies = ["10.0.0.0/99"]', "bump.trusted_proxies.0"),
        ('[sender]\nhostname = "a b"', "sender.hostname"),
        ('[sender]\nsource_ips = ["nine"]', "sender.source_ips.0"),
        (WARM_UP + 'address = "192.0.2.9"', "sender.warmup: 192.0.2.9 is not in sender.source_ips"),
        (WARM_UP + SAME + "\n[[sender.warmup]]\nsince = 2026-12-01\n" + SAME, "192.0.2.7 is there twice"),
        (WARM_UP + 'address = "192.0.2.7"\nplan = "slow"', "sender.warmup.0.plan"),
        (WARM_UP + 'address = "192.0.2.7"\nplan = []', "sender.warmup.0.plan"),
        (WARM_UP + 'address = "192.0.2.7"\nplan = [50, 0]', "sender.warmup.0.plan"),
        ('[[sender.warmup]]\naddress = "192.0.2.7"\nsince = "soon"', "sender.warmup.0.since"),
        ('[dns]\nnameservers = ["dns.example"]', "dns.nameservers.0"),
        ('[message]\nmax_bytes = "-1"', "message.max_bytes"),
        ('[message]\nmax_bytes = "0"', "message.max_bytes"),
        ('[stats]\nretention = "0d"', "stats.retention"),
        ('[stats]\nretention = "99999999999d"', "stats.retention"),
        ('[dispatcher]\nlease = "59s"', "dispatcher.lease: 1m or more is needed"),
        ('[log]\nlevel = "loud"', "log.level"),
        ('[api]\nadmin_token = "   "', "api.admin_token: "),
        ('[api]\nadmin_token = "token\\n"', "api.admin_token: "),
        ('[api]\nadmin_token = "tökén"', "api.admin_token: "),
    ],
)
def test_an_error_names_its_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        load_config(write(tmp_path, text))


def test_the_shortest_lease_outlives_every_page_of_the_dispatcher() -> None:
    Config.model_validate({"dispatcher": {"lease": SHORTEST_LEASE}})
    assert timedelta(seconds=2 * PAGE_SECONDS) <= SHORTEST_LEASE


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file"):
        load_config(tmp_path / "absent.toml")


def test_check_prints_the_values_in_force_and_no_secret(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '[api]\nadmin_token = "s3cret"\n[postgres]\nurl = "postgres://me:s3cret@db/kannon"\n'
        '[[sender.routes]]\ndomain = "*"\nhost = "h"\npassword = "s3cret"\nusername = "me"\n',
    )
    shown = render(load_config(file))
    assert "s3cret" not in shown
    assert 'url = "postgres://me:***@db/kannon"' in shown
    again: dict[str, Any] = tomllib.loads(shown)
    assert again["sender"]["routes"][0]["host"] == "h"
    assert again["retry"] == {"window": "1d", "first": "5m", "max": "4h"}
    assert again["sender"]["max_bytes_in_flight"] == "64MiB"
    assert again["suppression"]["bounce_expiry"] == "0s"
    assert again["api"]["admin_token"] == again["sender"]["routes"][0]["password"] == "***"


def test_the_output_of_check_can_be_read_as_a_configuration(tmp_path: Path) -> None:
    config = Config()
    assert load_config(write(tmp_path, render(config))) == config


def test_secrets_are_not_printed() -> None:
    assert "s3cret" not in repr(Config(api={"admin_token": "s3cret"}))  # type: ignore[arg-type]  # as a file gives it
    assert Config(api={"admin_token": "s3cret"}).api.admin_token == SecretStr("s3cret")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size"), [("25MiB", 25 << 20), ("1 KiB", 1024), ("7", 7), ("3gib", 3 << 30), ("9B", 9)]
)
def test_sizes_have_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(show_size(size)) == size


@pytest.mark.parametrize("text", ["300ms", "5s", "90m", "36h", "90d"])
def test_durations_have_units(text: str) -> None:
    duration = parse_duration(text)
    assert isinstance(duration, timedelta)
    assert parse_duration(show_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "m", "-5m", "1.5h"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_a_listen_address_is_host_and_port() -> None:
    assert split_listen("[::1]:25") == ("::1", 25)
    assert split_listen("0.0.0.0:0") == ("0.0.0.0", 0)
    for wrong in ("25", ":25", "host:", "host:x", "host:70000", "host:²"):
        with pytest.raises(ValueError, match="host:port"):
            split_listen(wrong)


def test_check_exits_78_for_a_wrong_configuration(tmp_path: Path) -> None:
    from kannon.cli import app

    result = CliRunner().invoke(app, ["check", "--config", str(write(tmp_path, "x = 1\ny = 2\n"))])
    assert result.exit_code == 78
    assert "x: unknown key" in result.output
    assert "y: unknown key" in result.output


def check(file: Path) -> tuple[int, str]:
    from kannon.cli import app

    result = CliRunner().invoke(app, ["check", "--config", str(file)])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("section", "key"), [("api", "tls_cert"), ("smtp", "tls_key"), ("smtp", "tls_cert"), ("sender", "tls_ca_file")]
)
def test_check_refuses_a_tls_file_that_cannot_be_read(tmp_path: Path, section: str, key: str) -> None:
    cert = key_file = make_authority(tmp_path).issue_file("mx.example.com")
    files = {"tls_ca_file": cert} if section == "sender" else {"tls_cert": cert, "tls_key": key_file}
    files[key] = tmp_path / "absent.pem"
    lines = [f'{name} = "{path}"' for name, path in files.items()]
    code, output = check(write(tmp_path, "\n".join([f"[{section}]", *lines])))
    assert code == 78
    assert f"configuration: {section}.{key}: {tmp_path}/absent.pem: No such file or directory\n" in output


def test_check_refuses_a_tls_file_that_is_not_a_certificate(tmp_path: Path) -> None:
    cert = key = make_authority(tmp_path).issue_file("mx.example.com")
    (tmp_path / "text").write_text("hello")
    code, output = check(write(tmp_path, f'[api]\ntls_cert = "{cert}"\ntls_key = "{tmp_path}/text"\n'))
    assert (code, "api.tls_cert, api.tls_key: " in output) == (78, True)
    code, output = check(write(tmp_path, f'[sender]\ntls_ca_file = "{tmp_path}/text"\n'))
    assert (code, "sender.tls_ca_file: " in output) == (78, True)
    code, output = check(write(tmp_path, f'[smtp]\ntls_cert = "{cert}"\ntls_key = "{key}"\n'))
    assert code == 0


def test_secrets_are_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They override the file; variables override them. A list is TOML."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    (folder / "kannon_api.admin_token").write_text("from a file\n")
    (folder / "kannon_postgres.url").write_text("postgres://kannon:secret@db/kannon\n")
    (folder / "kannon_sender.routes").write_text('[{ domain = "*", host = "relay", password = "secret" }]\n')
    (folder / "tls.key").write_text("somebody else's")
    monkeypatch.setenv("KANNON_POSTGRES__URL", "postgres://variable/kannon")
    config = load_config(write(tmp_path, '[api]\nadmin_token = "plain"\nlisten = "127.0.0.1:1"\n'))
    assert config.api.admin_token.get_secret_value() == "from a file"
    assert config.api.listen == "127.0.0.1:1"
    assert config.postgres.url == "postgres://variable/kannon"
    assert config.sender.routes[0].password.get_secret_value() == "secret"


def test_a_secret_file_without_a_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "kannon_api.tokn").write_text("x")
    with pytest.raises(ConfigError, match=r"api\.tokn: unknown key"):
        load_config()
    (tmp_path / "kannon_api.tokn").rename(tmp_path / "kannon_sender.routes")
    (tmp_path / "kannon_sender.routes").write_text("[unfinished")
    with pytest.raises(ConfigError, match=r"kannon_sender\.routes: neither text nor a TOML array"):
        load_config()
    (tmp_path / "kannon_sender.routes").unlink()
    (tmp_path / "kannon_api.admin_token").mkdir()
    with pytest.raises(ConfigError, match=r"kannon_api\.admin_token: Is a directory"):
        load_config()


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Bücher.Example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        (".Example.COM.", ".example.com"),
        ("*.Test", "*.test"),
        ("*", "*"),
    ],
)
def test_a_route_matches_every_spelling_of_its_domain(written: str, compared: str) -> None:
    assert Route(domain=written, host="relay").domain == compared


@pytest.mark.parametrize("written", ["", "*example.com", "*.", ".", "a..example", "a b.example", "me@example.com"])
def test_a_routes_domain_that_no_recipient_can_have_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        Route(domain=written, host="relay")


@pytest.mark.parametrize(
    ("text", "size"), [("5%", 50), ("2.5 %", 25), ("0%", 0), ("0", 0), ("3B", 3), ("2GiB", 2 << 30)]
)
def test_the_reserve_is_a_percentage_or_a_size(text: str, size: int) -> None:
    assert Config(disk=Disk(reserve=text)).disk.reserve == text
    assert reserve_bytes(text, 1000) == size


def test_a_percentage_of_a_large_disk_is_one_gibibyte_at_most() -> None:
    assert reserve_bytes("5%", 10 << 40) == 1 << 30
    assert reserve_bytes("2GiB", 10 << 40) == 2 << 30


@pytest.mark.parametrize("text", ["", "100%", "-1%", "5 percent", "1TB"])
def test_any_other_reserve_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="a percentage such as"):
        Disk(reserve=text)
