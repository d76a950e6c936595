"""A typed client of a running Kannon, for Python programs and for the command line.

    async with Client("127.0.0.1:50051", admin_token=token) as kannon:
        await kannon.create_domain("example.com")

In: an address and credentials. Out: the protobuf messages of the answers. A refused call raises `CallRefused` with its
status; an unreachable or unavailable server raises `Unavailable`.

calls.py        the connection, credentials, errors of calls
tenants.py      domains, DKIM keys, API keys, templates
sending.py      sends
operations.py   statistics, batches and deliveries, pauses, suppressions, dead letters, destinations, health
webhooks.py     webhook endpoints
"""

from kannon.client.calls import CallRefused, Tls
from kannon.client.operations import OperationCalls
from kannon.client.sending import NO_FIELDS, Recipients, SendCalls, SendRequest
from kannon.client.tenants import TenantCalls
from kannon.client.webhooks import WebhookCalls

__all__ = ["NO_FIELDS", "CallRefused", "Client", "Recipients", "SendRequest", "Tls"]


class Client(TenantCalls, SendCalls, OperationCalls, WebhookCalls):
    """Connects at the first call. Safe to use from several tasks of one event loop."""
