"""A typed client of a running Kannon, for Python programs and for the command line.

    async with Client("127.0.0.1:50051", admin_token=token) as kannon:
        await kannon.create_domain("example.com")

In: an address and credentials. Out: the protobuf messages of the answers. A refused call is `CallRefused` with its
status; a server that cannot be reached, or cannot serve now, is `Unavailable`.

calls.py      the connection, credentials, what a failed call becomes
tenants.py    domains, DKIM keys, API keys, templates
sending.py    sends
watching.py   statistics, mail under way, suppressions, parked messages, health
"""

from kannon.client.calls import CallRefused, Tls
from kannon.client.sending import NO_FIELDS, Recipients, SendCalls, SendRequest
from kannon.client.tenants import TenantCalls
from kannon.client.watching import WatchCalls

__all__ = ["NO_FIELDS", "CallRefused", "Client", "Recipients", "SendRequest", "Tls"]


class Client(TenantCalls, SendCalls, WatchCalls):
    """Connects at the first call. Safe to use from several tasks of one event loop."""
