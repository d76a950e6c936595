"""The gRPC server: Mailer, admin and Stats services, HZ, health and reflection.

In: calls of clients. Out: what kannon.db stores and finds, and a nudge to the validator after each send. Every rule of
a call that is not about I/O lives in kannon.mail; every mapping between protobuf and those values in kannon.wire.
"""

from kannon.components.api.component import Api, ApiSettings

__all__ = ["Api", "ApiSettings"]
