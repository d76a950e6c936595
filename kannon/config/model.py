"""The configuration in force: a section for each table of kannon.toml, every key with its default.

Unknown keys are refused. A test compares kannon.toml.example with this module.
"""

from datetime import date, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from kannon.config.secret_files import check_secret_file, secret_or_file
from kannon.config.values import (
    ComponentName,
    Duration,
    Hostname,
    Listen,
    MasterKeys,
    Port,
    PositiveDuration,
    Secret,
    Size,
    Token,
    check_address,
    check_base_url,
    check_directory,
    check_listen,
    check_mailbox,
    check_nameserver,
    check_nats_url,
    check_network,
    check_origin,
    check_pattern,
    check_postgres_url,
    check_reserve,
    no_controls,
    show_duration,
)
from kannon.mail.guard import SMALLEST_BATCH

COMPONENTS: tuple[ComponentName, ...] = get_args(ComponentName)
ENV_PREFIX = "KANNON_"
SHORTEST_LEASE = timedelta(seconds=60)
"""Twice as long as the dispatcher may take to publish a page: rows taken back before that go out a second time."""


SecretFile = Annotated[str, AfterValidator(check_secret_file)]


class Section(BaseModel):
    """A table of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Components(Section):
    enabled: Annotated[list[ComponentName], Field(min_length=1)] = list(COMPONENTS)


class Runner(Section):
    processes: Annotated[int, Field(ge=0, le=64)] = 0


class Disk(Section):
    reserve: Annotated[str, AfterValidator(check_reserve)] = "5%"


class Postgres(Section):
    url_file: SecretFile = ""  # before the key whose value it gives
    url: Annotated[str, AfterValidator(check_postgres_url), BeforeValidator(secret_or_file)] = ""
    pool_size: Annotated[int, Field(ge=2, le=200)] = 16


class Nats(Section):
    url_file: SecretFile = ""
    url: Annotated[str, AfterValidator(check_nats_url), BeforeValidator(secret_or_file)] = ""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1


class Api(Section):
    listen: Listen = "127.0.0.1:50051"
    admin_token_file: SecretFile = ""
    admin_token: Annotated[Token, BeforeValidator(secret_or_file)] = SecretStr("")
    viewer_token_file: SecretFile = ""
    viewer_token: Annotated[Token, BeforeValidator(secret_or_file)] = SecretStr("")
    tls_cert: str = ""
    tls_key: str = ""
    max_request_bytes: Size = 32 << 20
    cors_origins: list[Annotated[str, AfterValidator(check_origin)]] = []


class Bump(Section):
    listen: Listen = "0.0.0.0:8080"
    listen_tls: Annotated[str, AfterValidator(lambda value: value and check_listen(value))] = ""
    tls_cert: str = ""
    tls_key: str = ""
    base_url: Annotated[str, AfterValidator(check_base_url)] = ""
    trusted_proxies: list[Annotated[str, AfterValidator(check_network)]] = []
    max_connections: Annotated[int, Field(ge=1)] = 500


class Smtp(Section):
    listen: Listen = "0.0.0.0:2525"
    hostname: Hostname = ""
    tls_cert: str = ""
    tls_key: str = ""
    max_bytes: Size = 5 << 20
    max_connections: Annotated[int, Field(ge=1)] = 200


class Submission(Section):
    listen: Listen = "127.0.0.1:2587"
    listen_tls: Annotated[str, AfterValidator(lambda value: value and check_listen(value))] = ""
    hostname: Hostname = ""
    tls_cert: str = ""
    tls_key: str = ""
    max_connections: Annotated[int, Field(ge=1)] = 500
    max_recipients: Annotated[int, Field(ge=100)] = 1000


class Route(Section):
    domain: Annotated[str, AfterValidator(check_pattern)]
    host: Annotated[str, Field(min_length=1)]
    port: Port = 25
    tls: Literal["none", "opportunistic", "required", "verify"] = "opportunistic"
    username: Annotated[str, AfterValidator(no_controls)] = ""
    password_file: SecretFile = ""
    password: Annotated[Secret, BeforeValidator(secret_or_file)] = SecretStr("")


class Limit(Section):
    """Overrides for the destinations whose MX host ends in `mx`."""

    mx: Annotated[str, Field(min_length=1)]
    connections: Annotated[int, Field(ge=1)] = 20
    mails_per_connection: Annotated[int, Field(ge=1)] = 100
    rate_per_second: Annotated[float, Field(ge=0)] = 0


class TlsPolicy(Section):
    """Overrides DANE and MTA-STS for recipients' domains."""

    domain: Annotated[str, AfterValidator(check_pattern)]
    tls: Literal["auto", "none", "opportunistic", "required", "verify", "dane"]


class WarmUp(Section):
    """A new source address, and how many mails a day it carries to each provider."""

    address: Annotated[str, AfterValidator(check_address)]
    since: date
    plan: Literal["doubling"] | Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = "doubling"


class Sender(Section):
    hostname: Hostname = ""
    mode: Literal["direct", "sandbox"] = "direct"
    port: Port = 25
    concurrency: Annotated[int, Field(ge=1)] = 200
    max_bytes_in_flight: Size = 64 << 20
    per_destination: Annotated[int, Field(ge=1)] = 20
    allow_private_mx: bool = False
    source_ips: list[Annotated[str, AfterValidator(check_address)]] = []
    warmup: list[WarmUp] = []
    timeout_scale: Annotated[float, Field(gt=0, le=10)] = 1.0
    tls_ca_file: str = ""
    tls_policy: list[TlsPolicy] = []
    routes: list[Route] = []
    limits: list[Limit] = []


class Dns(Section):
    nameservers: list[Annotated[str, AfterValidator(check_nameserver)]] = []
    trust_ad: bool = False


def _check_lease(value: timedelta) -> timedelta:
    if value < SHORTEST_LEASE:
        raise ValueError(f"{show_duration(SHORTEST_LEASE)} or more is needed")
    return value


class Dispatcher(Section):
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    page: Annotated[int, Field(ge=1, le=10000)] = 200
    max_backlog: Annotated[int, Field(ge=1, le=100000)] = 10000
    max_backlog_bytes: Size = 512 << 20
    lease: Annotated[PositiveDuration, AfterValidator(_check_lease)] = SHORTEST_LEASE


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


class Guard(Section):
    """Of each batch: after so many outcomes, at most that many percent."""

    enabled: bool = True
    after_outcomes: Annotated[int, Field(ge=SMALLEST_BATCH)] = 200
    dead_percent: Annotated[float, Field(ge=0, le=100)] = 10
    after_delivered: Annotated[int, Field(ge=SMALLEST_BATCH)] = 1000
    complaint_percent: Annotated[float, Field(ge=0, le=100)] = 0.3


class Webhooks(Section):
    allow_http: bool = False
    allow_private: bool = False
    tls_ca_file: str = ""


class TlsRpt(Section):
    send: bool = False
    contact: Annotated[str, AfterValidator(check_mailbox)] = ""
    organization: Annotated[str, AfterValidator(no_controls)] = ""


class Acme(Section):
    """Certificates that Kannon orders by itself."""

    contact: Annotated[str, AfterValidator(check_mailbox)] = ""
    directory: Annotated[str, AfterValidator(check_directory)] = "https://acme-v02.api.letsencrypt.org/directory"
    ca_file: str = ""


class Metrics(Section):
    listen: Annotated[str, AfterValidator(lambda value: value and check_listen(value))] = "127.0.0.1:9090"


class Message(Section):
    max_bytes: Size = 25 << 20
    max_recipients: Annotated[int, Field(ge=1)] = 100000
    autoescape: bool = True


class Doctor(Section):
    """What `kannon doctor` asks of others."""

    probe: Hostname = "gmail.com"
    blocklists: list[Hostname] = []


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Config(BaseSettings):
    """All sections. Secrets are SecretStr and print as ***."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    data_dir: Path = Path("./kannon-data")
    master_key_file: SecretFile = ""
    master_key: Annotated[MasterKeys, BeforeValidator(secret_or_file)] = SecretStr("")
    stop_timeout: PositiveDuration = timedelta(seconds=30)
    components: Components = Components()
    runner: Runner = Runner()
    disk: Disk = Disk()
    postgres: Postgres = Postgres()
    nats: Nats = Nats()
    api: Api = Api()
    bump: Bump = Bump()
    smtp: Smtp = Smtp()
    submission: Submission = Submission()
    sender: Sender = Sender()
    dns: Dns = Dns()
    dispatcher: Dispatcher = Dispatcher()
    retry: Retry = Retry()
    tracking: Tracking = Tracking()
    stats: Stats = Stats()
    suppression: Suppression = Suppression()
    guard: Guard = Guard()
    webhooks: Webhooks = Webhooks()
    tlsrpt: TlsRpt = TlsRpt()
    acme: Acme = Acme()
    message: Message = Message()
    metrics: Metrics = Metrics()
    log: Log = Log()
    doctor: Doctor = Doctor()

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
        for name, section in (
            ("api", self.api),
            ("bump", self.bump),
            ("smtp", self.smtp),
            ("submission", self.submission),
        ):
            if bool(section.tls_cert) != bool(section.tls_key):
                raise ValueError(f"{name}.tls_cert and {name}.tls_key go together")
        viewer = self.api.viewer_token.get_secret_value()
        if viewer and viewer == self.api.admin_token.get_secret_value():
            raise ValueError("api.viewer_token is the same as api.admin_token")
        for name, listening in (("bump", self.bump), ("submission", self.submission)):
            if listening.listen_tls and not listening.tls_cert and not self.acme.contact:
                raise ValueError(f"{name}.listen_tls needs {name}.tls_cert and {name}.tls_key, or acme.contact")
        if self.nats.replicas > 1 and not self.nats.url:
            raise ValueError("nats.replicas is more than 1 without nats.url: the embedded NATS is a single server")
        addresses = [ip_address(each) for each in self.sender.source_ips]
        warming = [ip_address(each.address) for each in self.sender.warmup]
        for address in warming:
            if address not in addresses:
                raise ValueError(f"sender.warmup: {address} is not in sender.source_ips")
            if warming.count(address) > 1:
                raise ValueError(f"sender.warmup: {address} is there twice")
        if self.retry.first > self.retry.max:
            raise ValueError("retry.first is longer than retry.max")
        if self.tlsrpt.send and not self.tlsrpt.contact:
            raise ValueError("tlsrpt.contact is needed to send reports: an address of a domain that Kannon sends for")
        return self
