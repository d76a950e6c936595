"""Secrets in files of their own, and files with a secret that others can read."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kannon.cli import app
from kannon.config import Config, load_config
from kannon.config.secret_files import find_exposed_secrets
from kannon.errors import ConfigError


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kannon.config.load.PATHS", (tmp_path / "kannon.toml",))


def write(file: Path, text: str, mode: int = 0o640) -> Path:
    file.write_text(text)
    file.chmod(mode)
    return file


ALL = """
[postgres]
url_file = "{0}/postgres"
[nats]
url_file = "{0}/nats"
[api]
admin_token_file = "{0}/token"
[[sender.routes]]
domain = "*"
host = "relay.example"
username = "me"
password_file = "{0}/smarthost"
"""


def test_every_secret_can_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    for name, text in {
        "postgres": "postgres://kannon:one@db/kannon\n",
        "nats": "nats://kannon:two@nats:4222",
        "token": "three\r\n",
        "smarthost": " four \n",
    }.items():
        write(tmp_path / name, text)
    config = load_config(write(tmp_path / "some.toml", ALL.format(tmp_path)))
    assert config.postgres.url == "postgres://kannon:one@db/kannon"
    assert config.nats.url == "nats://kannon:two@nats:4222"
    assert config.api.admin_token.get_secret_value() == "three"
    assert config.sender.routes[0].password.get_secret_value() == " four "


def test_a_variable_can_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANNON_API__ADMIN_TOKEN_FILE", str(write(tmp_path / "token", "one")))
    assert load_config().api.admin_token.get_secret_value() == "one"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[api]\nadmin_token_file = "{0}/none"', "api.admin_token_file: {0}/none: No such file or directory"),
        ('[nats]\nurl_file = "{0}"', "nats.url_file: {0}: Is a directory"),
        ('[postgres]\nurl_file = "{0}/empty"', "postgres.url_file: {0}/empty: the file is empty"),
        ('[postgres]\nurl_file = "{0}/latin"', "postgres.url_file: {0}/latin: not UTF-8 text"),
        ('[postgres]\nurl_file = "{0}/two"', "postgres.url_file: {0}/two: more than one line"),
        ('[api]\nadmin_token = "x"\nadmin_token_file = "{0}/good"', "api.admin_token: also in admin_token_file"),
        ('[postgres]\nurl_file = "{0}/good"', 'postgres.url: "postgres://user@host/database" is needed'),
        (
            '[[sender.routes]]\ndomain = "*"\nhost = "h"\npassword_file = "{0}/none"',
            "sender.routes.0.password_file: {0}/none: No such file or directory",
        ),
    ],
)
def test_a_bad_file_names_its_key_and_ends_with_78(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path / "empty", "\n")
    write(tmp_path / "two", "one\ntwo\n")
    write(tmp_path / "good", "good")
    (tmp_path / "latin").write_bytes(b"\xfc")
    file = write(tmp_path / "some.toml", text.format(tmp_path))
    done = CliRunner().invoke(app, ["check", "--config", str(file)])
    assert done.exit_code == 78
    assert problem.format(tmp_path) in done.stderr
    with pytest.raises(ConfigError):
        load_config(file)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('[api]\nadmin_token = "x"', "api.admin_token"),
        ('[postgres]\nurl = "postgres://kannon:secret@db/kannon"', "postgres.url"),
        ('[nats]\nurl = "nats://a:4222,nats://u:p@b:4222"', "nats.url"),
        (
            '[[sender.routes]]\ndomain = "a.example"\nhost = "h"\n'
            '[[sender.routes]]\ndomain = "*"\nhost = "h"\npassword = "p"',
            "sender.routes.1.password",
        ),
        ('[postgres]\nurl = "postgres://kannon@db/kannon"\n[api]\nadmin_token = ""', ""),
        ('data_dir = "/tmp"', ""),
    ],
)
def test_a_file_with_a_secret_that_others_can_read_is_found(tmp_path: Path, text: str, keys: str) -> None:
    file = write(tmp_path / "some.toml", text, 0o644)
    found = find_exposed_secrets(file, load_config(file))
    assert found == ([f"{file} holds {keys} and every user can read it: chmod 0640 {file}"] if keys else [])
    file.chmod(0o640)
    assert find_exposed_secrets(file, load_config(file)) == []


def test_a_secret_file_that_others_can_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = write(tmp_path / "token", "one", 0o604)
    file = write(tmp_path / "kannon.toml", f'[api]\nadmin_token_file = "{token}"\n', 0o644)
    expected = [f"{token} holds api.admin_token and every user can read it: chmod 0640 {token}"]
    assert find_exposed_secrets(None, load_config()) == expected
    done = CliRunner().invoke(app, ["check", "--config", str(file)])
    assert done.exit_code == 0
    assert done.stderr == f"kannon: warning: {expected[0]}\n"
    # A container's engine mounts its secrets for the one user that there is.
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert find_exposed_secrets(None, load_config()) == []
    assert find_exposed_secrets(None, Config()) == []
