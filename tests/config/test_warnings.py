"""What `kannon check` and `kannon serve` warn of, beside exposed secrets (test_secret_files.py)."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kannon.cli import app
from kannon.config import find_warnings, load_config


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://track.example.com", True),
        ("http://192.0.2.1:8080/bump", True),
        ("https://track.example.com", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost:8080", False),
        ("http://[::1]:8080", False),
        ("", False),
    ],
)
def test_a_tracking_url_without_https_is_no_one_click_unsubscribe(tmp_path: Path, url: str, *, warned: bool) -> None:
    file = tmp_path / "kannon.toml"
    file.write_text(f'[bump]\nbase_url = "{url}"\n')
    found = find_warnings(file, load_config(file))
    assert [warning.startswith(f"bump.base_url is {url}: ") for warning in found] == [True] * warned
    done = CliRunner().invoke(app, ["check", "--config", str(file)])
    assert (done.exit_code, done.stderr) == (0, "".join(f"kannon: warning: {warning}\n" for warning in found))
