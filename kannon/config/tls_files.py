"""The TLS files which the configuration names: whether they can be loaded, and when they expire.

`kannon check` and `kannon serve` check them. Client commands do not: their user may have no right to read a private
key.
"""

import ssl
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from cryptography import x509

from kannon.config.model import Config
from kannon.errors import ConfigError


def check_tls_files(config: Config, enabled: Collection[str]) -> None:
    """Of the `enabled` components. Raises ConfigError with a line for each key that is wrong."""
    problems: list[str] = []
    for name, section in (
        ("api", config.api),
        ("bump", config.bump),
        ("smtp", config.smtp),
        ("submission", config.submission),
    ):
        if name in enabled and section.tls_cert:
            problems += _pair_problems(name, section.tls_cert, section.tls_key)
    if "sender" in enabled and config.sender.tls_ca_file:
        problems += _authority_problems("sender.tls_ca_file", config.sender.tls_ca_file)
    if config.acme.contact and config.acme.ca_file:
        problems += _authority_problems("acme.ca_file", config.acme.ca_file)
    if problems:
        raise ConfigError("\n".join(f"configuration: {problem}" for problem in problems))


def certificate_expiries(config: Config, enabled: Collection[str]) -> dict[str, datetime]:
    """By key of the configuration, of the `enabled` components. A certificate's file expires with the first
    certificate of its chain, a file of authorities with the last one. A file that cannot be read is left out."""
    expiries = {}
    for key, component, file, of_chain in (
        ("api.tls_cert", "api", config.api.tls_cert, min),
        ("bump.tls_cert", "bump", config.bump.tls_cert, min),
        ("smtp.tls_cert", "smtp", config.smtp.tls_cert, min),
        ("submission.tls_cert", "submission", config.submission.tls_cert, min),
        ("sender.tls_ca_file", "sender", config.sender.tls_ca_file, max),
    ):
        if component in enabled and file:
            try:
                chain = x509.load_pem_x509_certificates(Path(file).read_bytes())
            except (OSError, ValueError):
                continue
            expiries[key] = of_chain(certificate.not_valid_after_utc for certificate in chain)
    return expiries


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
