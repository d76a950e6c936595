"""When the TLS files of the configuration expire."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from kannon.config import Config
from kannon.config.tls_files import certificate_expiries
from tests.support.certificates import make_authority


def test_the_files_of_enabled_components_have_an_expiry(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    api, gone = authority.issue_file("api.example"), authority.issue_file("mx.example", expired=True)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(gone.read_bytes() + api.read_bytes())
    config = Config.model_validate(
        {
            "api": {"tls_cert": str(api), "tls_key": str(api)},
            "smtp": {"tls_cert": str(chain), "tls_key": str(chain)},
            "sender": {"tls_ca_file": str(chain)},
        }
    )
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    expiries = certificate_expiries(config, ["api", "smtp", "sender"])
    days = {key: (expiry - now + minute).days for key, expiry in expiries.items()}
    assert days == {"api.tls_cert": 1, "smtp.tls_cert": -1, "sender.tls_ca_file": 1}
    assert certificate_expiries(config, ["bump"]) == {}


def test_a_file_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    empty, absent = str(tmp_path / "empty.pem"), str(tmp_path / "absent.pem")
    config = Config.model_validate(
        {"api": {"tls_cert": empty, "tls_key": empty}, "smtp": {"tls_cert": absent, "tls_key": absent}}
    )
    assert certificate_expiries(config, ["api", "smtp"]) == {}
