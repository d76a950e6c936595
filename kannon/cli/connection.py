"""What every client command begins with: a server, a token, an output; and how every one of them ends.

In: --server, --token, --ca, --config and --json, else KANNON_SERVER, KANNON_TOKEN, KANNON_CA and KANNON_CONFIG, else
the configuration and the token file in its data_dir, so that on the machine that serves nothing need be given. Out: an
open `Session`. A refused call is one line on standard error and exit code 1, or 77 for wrong credentials; a server that
is away is 69.
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

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.cli.output import Output
from kannon.client import CallRefused, Client, Tls
from kannon.errors import OperatorError

if TYPE_CHECKING:
    from kannon.config import Config

EX_NOPERM = 77  # sysexits.h
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound
_NOT_ALLOWED = (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED)

ServerOption = Annotated[
    str,
    typer.Option("--server", envvar="KANNON_SERVER", help="host:port, or https://host:port. Default: api.listen."),
]
TokenOption = Annotated[
    str,
    typer.Option("--token", envvar="KANNON_TOKEN", help="Admin token. Default: that of the configuration's data_dir."),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", envvar="KANNON_CA", help="PEM file of the authority to trust instead of the system's."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Place:
    """Where the server is and what opens it; the configuration is read only when something is missing."""

    def __init__(self, server: str, token: str, ca: Path | None, config: Path | None) -> None:
        self._server = server
        self._token = token
        self._ca = ca
        self._path = config
        self._config: Config | None = None

    @property
    def is_named(self) -> bool:
        """Whether a server was given, so that this machine's configuration says nothing about it."""
        return bool(self._server)

    @property
    def config(self) -> "Config":
        # Imported where it is needed: a command that is told everything starts twice as fast without it.
        from kannon.config import load_config

        if self._config is None:
            self._config = load_config(self._path)
        return self._config

    def admin_token(self) -> str:
        """Raises OperatorError where there is none."""
        if self._token:
            return self._token
        from kannon.embedded.data_dir import read_admin_token

        return self.config.api.admin_token.get_secret_value() or read_admin_token(self.config.data_dir)

    def client(self, *, admin_token: str = "", api_key: tuple[str, str] | None = None) -> Client:
        """Raises OperatorError."""
        server, tls = self._address()
        try:
            return Client(server, admin_token=admin_token, api_key=api_key, attribution="kannon command", tls=tls)
        except (ValueError, OSError, SSLError) as error:
            raise OperatorError(f"--server: {error}") from None

    def _address(self) -> tuple[str, Tls | None]:
        if self._server:
            address = self._server.removeprefix("http://").removeprefix("https://").rstrip("/")
            return address, Tls(self._ca) if self._server.startswith("https://") else None
        from kannon.config import split_listen

        api = self.config.api
        host, port = split_listen(api.listen)
        host = _WILDCARDS.get(host, host)
        # The configuration names the very certificate that the server shows.
        tls = Tls(Path(api.tls_cert), pinned=True) if api.tls_cert else None
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}", tls


class Session:
    """Clients are made when first asked for, so that a command needs no credentials it does not use."""

    def __init__(self, place: Place, output: Output) -> None:
        self.place = place
        self.output = output
        self._clients: list[Client] = []

    @cached_property
    def admin(self) -> Client:
        return self._keep(self.place.client(admin_token=self.place.admin_token()))

    @cached_property
    def anyone(self) -> Client:
        return self._keep(self.place.client())

    def tenant(self, domain: str, key: str) -> Client:
        return self._keep(self.place.client(api_key=(domain, key)))

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _keep(self, client: Client) -> Client:
        self._clients.append(client)
        return client


def client_command(app: typer.Typer, name: str) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Any]]:
    """Registers `async def command(session, …)`: its own parameters, and --server, --token, --ca, --config, --json."""

    def register(function: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        _, *own = inspect.signature(function).parameters.values()

        def run(**arguments: Any) -> None:
            place = Place(*(arguments.pop(each) for each in ("server", "token", "ca", "config")))
            output = Output(as_json=arguments.pop("as_json"))
            with operator_errors(), _refusals():
                anyio.run(_run, place, output, function, arguments)

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
]


async def _run(
    place: Place, output: Output, function: Callable[..., Awaitable[None]], arguments: dict[str, Any]
) -> None:
    session = Session(place, output)
    try:
        await function(session, **arguments)
    finally:
        session.close()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except CallRefused as error:
        print(f"kannon: {error}", file=sys.stderr)
        raise typer.Exit(EX_NOPERM if error.status in _NOT_ALLOWED else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
