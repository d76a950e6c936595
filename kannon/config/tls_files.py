"""Checks that the TLS files which the configuration names can be loaded.

`kannon check` and `kannon serve` call it. Client commands do not: their user may have no right to read a private key.
"""

import ssl
from collections.abc import Collection
from pathlib import Path

from kannon.config.model import Config
from kannon.errors import ConfigError


def check_tls_files(config: Config, enabled: Collection[str]) -> None:
    """Of the `enabled` components. Raises ConfigError with a line for each key that is wrong."""
    problems: list[str] = []
    for name, section in (("api", config.api), ("smtp", config.smtp)):
        if name in enabled and section.tls_cert:
            problems += _pair_problems(name, section.tls_cert, section.tls_key)
    if "sender" in enabled and config.sender.tls_ca_file:
        problems += _authority_problems("sender.tls_ca_file", config.sender.tls_ca_file)
    if problems:
        raise ConfigError("\n".join(f"configuration: {problem}" for problem in problems))


def _pair_problems(section: str, cert: str, key: str) -> list[str]:
    problems = [*_read_problems(f"{section}.tls_cert", cert), *_read_problems(f"{section}.tls_key", key)]
    if problems:
        return problems
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError as error:
        return [f"{section}.tls_cert, {section}.tls_key: not a PEM certificate and its key: {_reason(error)}"]
    return []


def _authority_problems(key: str, file: str) -> list[str]:
    if problems := _read_problems(key, file):
        return problems
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        return [f"{key}: {file}: not a PEM file of certificates: {_reason(error)}"]
    return []


def _read_problems(key: str, file: str) -> list[str]:
    try:
        Path(file).read_bytes()
    except OSError as error:
        return [f"{key}: {file}: {error.strerror}"]
    return []


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "no PEM data").replace("_", " ").lower()
