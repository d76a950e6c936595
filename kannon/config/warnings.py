"""What works, but not as the operator may expect.

In: a configuration that `load_config` accepts. Out: warnings, which `kannon check` and `kannon serve` print.
"""

from pathlib import Path
from urllib.parse import urlsplit

from kannon.config.model import Config
from kannon.config.secret_files import find_exposed_secrets

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


def find_warnings(file: Path | None, config: Config) -> list[str]:
    """`file` is the TOML file, or None."""
    return [*find_exposed_secrets(file, config), *_find_plain_base_url(config)]


def _find_plain_base_url(config: Config) -> list[str]:
    url = urlsplit(config.bump.base_url)
    if url.scheme != "http" or url.hostname in _THIS_MACHINE:
        return []
    # RFC 8058 §3.1: the List-Unsubscribe header field contains an HTTPS URI.
    return [
        f"bump.base_url is {config.bump.base_url}: mailbox providers offer one-click unsubscribe for https only, so "
        "mail with one_click_unsubscribe has no List-Unsubscribe-Post"
    ]
