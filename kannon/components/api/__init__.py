"""The API: Mailer, admin and Stats services and HZ; by gRPC, with its health and reflection.

In: calls of clients. Out: results of kannon.db, and of kannon.accept, which stores a send and notifies the validator.
Rules that need no I/O are in kannon.mail; the mappings between protobuf and values are in kannon.wire.
"""

from kannon.components.api.component import Api, ApiSettings

__all__ = ["Api", "ApiSettings"]
