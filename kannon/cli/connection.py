"""The connection of a client command: the server, the credentials and the output, and how errors of calls end it.

In: --server, --token, --ca, --config, --json and --utc, else KANNON_SERVER, KANNON_TOKEN, KANNON_CA and KANNON_CONFIG,
else the configuration and the token file in its data_dir, so that the server's own machine needs no option. Out: an
open `Session`. A refused call prints one line on standard error and exits 1, or 77 for wrong credentials; an
unreachable server exits 69.
"""

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from ssl import SSLError
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer
from grpclib.const import Status

from kannon.cli.errors import EX_NOPERM, operator_errors
from kannon.cli.options import SHARED, ConfigOption, JsonOption, UtcOption
from kannon.cli.output import Output
from kannon.client import CallRefused, Client, Tls
from kannon.client.calls import CALL_SECONDS
from kannon.errors import OperatorError

if TYPE_CHECKING:
    from kannon.config import Config

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound
_NOT_ALLOWED = (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED)

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="KANNON_SERVER",
        help="host:port, or https://host:port for TLS. Default: api.listen.",
        rich_help_panel=SHARED,
    ),
]
TokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="KANNON_TOKEN",
        help="Admin token. Default: api.admin_token, else the file admin_token in data_dir.",
        rich_help_panel=SHARED,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="KANNON_CA",
        help="PEM file of certificate authorities to trust instead of the system's.",
        rich_help_panel=SHARED,
    ),
]


class Endpoint:
    """The server's address and credentials. Reads the configuration only when an option is missing."""

    def __init__(self, server: str, token: str, ca: Path | None, config: Path | None) -> None:
        self._server = server
        self._token = token
        self._ca = ca
        self._path = config
        self._config: Config | None = None

    @property
    def is_named(self) -> bool:
        """Whether --server is given. This machine's configuration then does not describe the server."""
        return bool(self._server)

    @property
    def config(self) -> "Config":
        # Late import: a command that needs no configuration starts twice as fast without it.
        from kannon.config import load_config

        if self._config is None:
            self._config = load_config(self._path)
        return self._config

    def admin_token(self) -> str:
        """Raises OperatorError if there is none."""
        if self._token:
            return self._token
        from kannon.embedded.data_dir import read_admin_token

        return self.config.api.admin_token.get_secret_value() or read_admin_token(self.config.data_dir)

    def client(
        self,
        *,
        admin_token: str = "",
        api_key: tuple[str, str] | None = None,
        send_as: str = "",
        timeout_seconds: float = CALL_SECONDS,
    ) -> Client:
        """Raises OperatorError that names the wrong option or key."""
        server, tls = self._address()
        try:
            return Client(
                server,
                admin_token=admin_token,
                api_key=api_key,
                send_as=send_as,
                attribution="kannon command",
                tls=tls,
                timeout_seconds=timeout_seconds,
            )
        except OSError as error:  # also ssl.SSLError
            option = "--ca" if self._ca else "api.tls_cert"
            reason = "not a PEM file of certificates" if isinstance(error, SSLError) else error.strerror
            raise OperatorError(f"{option}: {tls.ca_file if tls else ''}: {reason}") from None
        except ValueError as error:
            raise OperatorError(f"--server: {error}") from None

    def url(self) -> str:
        """Of the server, for a browser."""
        address, tls = self._address()
        return f"{'http' if tls is None else 'https'}://{address}"

    def _address(self) -> tuple[str, Tls | None]:
        if self._server:
            address = self._server.removeprefix("http://").removeprefix("https://").rstrip("/")
            return address, Tls(self._ca) if self._server.startswith("https://") else None
        from kannon.config import split_listen

        api = self.config.api
        host, port = split_listen(api.listen)
        host = _WILDCARDS.get(host, host)
        # The configuration names the exact certificate of the server.
        tls = Tls(Path(api.tls_cert), pinned=True) if api.tls_cert else None
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}", tls


class Session:
    """The clients of one command. Each connects at its first use, so a command needs only the credentials it uses."""

    def __init__(self, endpoint: Endpoint, output: Output) -> None:
        self.endpoint = endpoint
        self.output = output
        self._clients: list[Client] = []

    @cached_property
    def admin(self) -> Client:
        return self._add(self.endpoint.client(admin_token=self.endpoint.admin_token()))

    @cached_property
    def anonymous(self) -> Client:
        return self._add(self.endpoint.client())

    def tenant(self, domain: str, key: str) -> Client:
        """For sends of `domain`. Without `key` the admin token authenticates them."""
        if key:
            return self._add(self.endpoint.client(api_key=(domain, key)))
        return self._add(self.endpoint.client(admin_token=self.endpoint.admin_token(), send_as=domain))

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _add(self, client: Client) -> Client:
        self._clients.append(client)
        return client


def client_command(app: typer.Typer, name: str) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Any]]:
    """Registers `async def command(session, …)` with its own options and those of _SHARED."""

    def register(function: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        _, *own = inspect.signature(function).parameters.values()

        def run(**arguments: Any) -> None:
            endpoint = Endpoint(*(arguments.pop(each) for each in ("server", "token", "ca", "config")))
            output = Output(as_json=arguments.pop("as_json"), utc=arguments.pop("utc"))
            with operator_errors(), _call_errors():
                anyio.run(_run, endpoint, output, function, arguments)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *_SHARED]]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__doc__ = function.__doc__
        app.command(name)(run)
        return function

    return register


_SHARED = [
    inspect.Parameter("server", inspect.Parameter.KEYWORD_ONLY, default="", annotation=ServerOption),
    inspect.Parameter("token", inspect.Parameter.KEYWORD_ONLY, default="", annotation=TokenOption),
    inspect.Parameter("ca", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=CaOption),
    inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigOption),
    inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption),
    inspect.Parameter("utc", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=UtcOption),
]


async def _run(
    endpoint: Endpoint, output: Output, function: Callable[..., Awaitable[None]], arguments: dict[str, Any]
) -> None:
    session = Session(endpoint, output)
    try:
        await function(session, **arguments)
    finally:
        session.close()


@contextmanager
def _call_errors() -> Iterator[None]:
    try:
        yield
    except CallRefused as error:
        print(f"kannon: {error}", file=sys.stderr)
        raise typer.Exit(EX_NOPERM if error.status in _NOT_ALLOWED else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
