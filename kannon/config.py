"""The configuration: `kannon.toml` and KANNON_… variables in, one validated `Config` out.

In: a TOML file (named, or ./kannon.toml, or /etc/kannon/kannon.toml, or none: every key has a default) and environment
variables such as KANNON_SENDER__HOSTNAME for sender.hostname, which win over the file. Secrets may come in files of
their own, named by their key, in CREDENTIALS_DIRECTORY; they win over the file, too. Out: `Config`.
Unknown keys are refused; all faults are reported at once, each with its key (ConfigError, exit code 78).
Nobody else in the program reads the environment.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from kannon.errors import ConfigError

COMPONENTS = ("api", "validator", "dispatcher", "sender", "smtp", "bump", "stats")
ENV_PREFIX = "KANNON_"
CLIENT_VARIABLES = frozenset({"KANNON_CONFIG", "KANNON_SERVER", "KANNON_TOKEN", "KANNON_RUNTIME_DIR"})
"""Read by the command line and by the single executable's launcher, not part of this model."""
CREDENTIAL_PREFIX = "kannon_"
"""What systemd makes of `LoadCredential=kannon:<folder>`: the name, an underscore, and a file's name in the folder."""
PLACES = (Path("kannon.toml"), Path("/etc/kannon/kannon.toml"))

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)")
_DURATION_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_size(value: object) -> object:
    """`"25MiB"` → bytes; a plain number is bytes already."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError('a size such as "25MiB" is needed')
        return int(match[1]) * _SIZE_UNITS[(match[2] or "").lower()]
    return value


def parse_duration(value: object) -> object:
    """`"5m"` → timedelta; units ms, s, m, h, d. A bare number has no unit and is refused."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a duration such as "5m" is needed')
    try:
        return timedelta(**{_DURATION_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError("the duration is too long") from None


def show_size(size: int) -> str:
    """The shortest text that `parse_size` reads back."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit.lower()] == 0:
            return f"{size // _SIZE_UNITS[unit.lower()]}{unit}"
    return f"{size}B"


def show_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back."""
    for unit in ("d", "h", "m", "s"):
        one = timedelta(**{_DURATION_UNITS[unit]: 1})
        if duration and duration % one == timedelta(0):
            return f"{duration // one}{unit}"
    return f"{duration // timedelta(milliseconds=1)}ms"


def check_listen(value: str) -> str:
    """`host:port`, IPv6 in brackets; port 0 lets the system choose."""
    split_listen(value)
    return value


def split_listen(value: str) -> tuple[str, int]:
    """`"[::1]:25"` → `("::1", 25)`. Raises ValueError."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError('"host:port" is needed')
    return host.removeprefix("[").removesuffix("]"), int(port)


def _check_nameserver(value: str) -> str:
    host = value
    if value.startswith("[") or value.count(":") == 1:
        host, _ = split_listen(value)
    ip_address(host)
    return value


def _check_address(value: str) -> str:
    ip_address(value)
    return value


def _check_network(value: str) -> str:
    ip_network(value)
    return value


def _check_postgres_url(value: str) -> str:
    if value and not value.startswith(("postgres://", "postgresql://")):
        raise ValueError('"postgres://user@host/database" is needed')
    return value


def _check_nats_url(value: str) -> str:
    if value and not all(part.strip().startswith(("nats://", "tls://")) for part in value.split(",")):
        raise ValueError('"nats://host:4222" (or several, separated by commas) is needed')
    return value


def _check_base_url(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/\s?#]+(/[^\s?#]*)?", value):
        raise ValueError('"https://host" is needed')
    return value.rstrip("/")


def _check_hostname(value: str) -> str:
    if value and (len(value) > 253 or not all(_LABEL.fullmatch(label) for label in value.split("."))):
        raise ValueError("a host name is needed")
    return value


def _check_pattern(value: str) -> str:
    """`example.com`, `*.example.com` or `.example.com` for its subdomains, `*` for all; as recipients' domains are
    spelled when they are compared with it."""
    from kannon.mail.address import canonical_domain  # here: only a configuration with routes needs its libraries

    name = value.lstrip("*.")
    prefix, name = value[: len(value) - len(name)], name.rstrip(".")
    if prefix not in ("", "*", ".", "*.") or (prefix == "*") is bool(name):
        raise ValueError('"example.com", "*.example.com" or "*" is needed')
    return prefix + (name.lower() if name.isascii() and "." not in name else canonical_domain(name))


def _no_controls(value: str) -> str:
    if any(ord(c) < 0x20 for c in value):
        raise ValueError("control characters are not allowed")
    return value


Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[timedelta, BeforeValidator(parse_duration), Field(gt=timedelta(0))]
Listen = Annotated[str, AfterValidator(check_listen)]
Port = Annotated[int, Field(ge=1, le=65535)]
Hostname = Annotated[str, AfterValidator(_check_hostname)]
ComponentName = Literal["api", "validator", "dispatcher", "sender", "smtp", "bump", "stats"]


class Section(BaseModel):
    """A table of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Components(Section):
    enabled: Annotated[list[ComponentName], Field(min_length=1)] = list(COMPONENTS)  # type: ignore[arg-type]


class Postgres(Section):
    url: Annotated[str, AfterValidator(_check_postgres_url)] = ""
    pool_size: Annotated[int, Field(ge=2, le=200)] = 10


class Nats(Section):
    url: Annotated[str, AfterValidator(_check_nats_url)] = ""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1


class Api(Section):
    listen: Listen = "127.0.0.1:50051"
    admin_token: SecretStr = SecretStr("")
    tls_cert: str = ""
    tls_key: str = ""
    max_request_bytes: Size = 32 << 20


class Bump(Section):
    listen: Listen = "0.0.0.0:8080"
    base_url: Annotated[str, AfterValidator(_check_base_url)] = ""
    trusted_proxies: list[Annotated[str, AfterValidator(_check_network)]] = []


class Smtp(Section):
    listen: Listen = "0.0.0.0:2525"
    hostname: Hostname = ""
    tls_cert: str = ""
    tls_key: str = ""
    max_bytes: Size = 5 << 20
    max_connections: Annotated[int, Field(ge=1)] = 200


class Route(Section):
    domain: Annotated[str, AfterValidator(_check_pattern)]
    host: Annotated[str, Field(min_length=1)]
    port: Port = 25
    tls: Literal["none", "opportunistic", "required", "verify"] = "opportunistic"
    username: Annotated[str, AfterValidator(_no_controls)] = ""
    password: SecretStr = SecretStr("")


class Limit(Section):
    """Overrides for the destinations whose MX host ends in `mx`."""

    mx: Annotated[str, Field(min_length=1)]
    connections: Annotated[int, Field(ge=1)] = 20
    mails_per_connection: Annotated[int, Field(ge=1)] = 100
    rate_per_second: Annotated[float, Field(ge=0)] = 0


class Sender(Section):
    hostname: Hostname = ""
    mode: Literal["direct", "sandbox"] = "direct"
    port: Port = 25
    concurrency: Annotated[int, Field(ge=1)] = 200
    max_bytes_in_flight: Size = 64 << 20
    per_destination: Annotated[int, Field(ge=1)] = 20
    allow_private_mx: bool = False
    source_ips: list[Annotated[str, AfterValidator(_check_address)]] = []
    timeout_scale: Annotated[float, Field(gt=0, le=10)] = 1.0
    tls_ca_file: str = ""
    routes: list[Route] = []
    limits: list[Limit] = []


class Dns(Section):
    nameservers: list[Annotated[str, AfterValidator(_check_nameserver)]] = []


class Dispatcher(Section):
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    page: Annotated[int, Field(ge=1, le=10000)] = 200
    max_backlog: Annotated[int, Field(ge=1, le=100000)] = 10000
    max_backlog_bytes: Size = 512 << 20
    lease: PositiveDuration = timedelta(seconds=60)


class Retry(Section):
    window: PositiveDuration = timedelta(hours=24)
    first: PositiveDuration = timedelta(minutes=5)
    max: PositiveDuration = timedelta(hours=4)


class Tracking(Section):
    token_ttl: PositiveDuration = timedelta(days=90)


class Stats(Section):
    retention: PositiveDuration = timedelta(days=365)


class Suppression(Section):
    enabled: bool = True
    bounce_expiry: Duration = timedelta(0)
    complaint_expiry: Duration = timedelta(0)


class Metrics(Section):
    listen: Annotated[str, AfterValidator(lambda value: value and check_listen(value))] = "127.0.0.1:9090"


class Message(Section):
    max_bytes: Size = 25 << 20
    max_recipients: Annotated[int, Field(ge=1)] = 100000
    autoescape: bool = True


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Config(BaseSettings):
    """Everything that is in force. Secrets are SecretStr and print as ***."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    data_dir: Path = Path("./kannon-data")
    stop_timeout: PositiveDuration = timedelta(seconds=30)
    components: Components = Components()
    postgres: Postgres = Postgres()
    nats: Nats = Nats()
    api: Api = Api()
    bump: Bump = Bump()
    smtp: Smtp = Smtp()
    sender: Sender = Sender()
    dns: Dns = Dns()
    dispatcher: Dispatcher = Dispatcher()
    retry: Retry = Retry()
    tracking: Tracking = Tracking()
    stats: Stats = Stats()
    suppression: Suppression = Suppression()
    message: Message = Message()
    metrics: Metrics = Metrics()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="after")
    def _pairs(self) -> "Config":
        for name, section in (("api", self.api), ("smtp", self.smtp)):
            if bool(section.tls_cert) != bool(section.tls_key):
                raise ValueError(f"{name}.tls_cert and {name}.tls_key go together")
        if self.nats.replicas > 1 and not self.nats.url:
            raise ValueError("nats.replicas is more than 1 without nats.url: the embedded server is one")
        if self.retry.first > self.retry.max:
            raise ValueError("retry.first is longer than retry.max")
        return self


def load_config(path: Path | None = None) -> Config:
    """Reads `path` (or the first of PLACES that exists) and the environment. Raises ConfigError naming every fault."""
    faults = _unknown_variables(os.environ)
    values: dict[str, Any] = {}
    file = path or next((place for place in PLACES if place.is_file()), None)
    if file is not None:
        values = _read_toml(file)
    try:
        config = Config(**_over(values, _read_credentials(os.environ)))
    except ValidationError as error:
        faults += [_fault(dict(e)) for e in error.errors()]
    except SettingsError as error:
        faults.append(f"environment: {error}")
    if faults:
        raise ConfigError("\n".join(f"configuration: {fault}" for fault in faults))
    return config


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration: {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration: {file}: not TOML: {error}") from None


def _read_credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    """Secrets from files, such as systemd's LoadCredential= and containers hand over: `kannon_api.admin_token`."""
    values: dict[str, Any] = {}
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for file in sorted(Path(folder).glob(f"{CREDENTIAL_PREFIX}*")) if folder else ():
        path = file.name.removeprefix(CREDENTIAL_PREFIX).split(".")
        try:
            value: Any = file.read_text(encoding="utf-8").strip()
            if value.startswith("["):
                value = tomllib.loads(f"x = {value}")["x"]
            for key in reversed(path):
                value = {key: value}
        except OSError as error:
            raise ConfigError(f"configuration: {file}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration: {file}: neither a text nor a TOML array: {error}") from None
        values = _over(values, value)
    return values


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, table by table; what both have is taken from `above`."""
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _over(below[key], above[key])
    return merged


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {f"{ENV_PREFIX}{name}".upper() for name in Config.model_fields}
    return [
        f"{name}: unknown variable"
        for name in sorted(environ)
        if name.upper().startswith(ENV_PREFIX)
        and name not in CLIENT_VARIABLES
        and name.upper().split("__", 1)[0] not in known
    ]


def _fault(error: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in error["loc"])
    problem = "unknown key" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return f"{path}: {problem}" if path else problem
