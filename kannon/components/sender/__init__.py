"""The sender: envelopes off the bus, through SMTP, and what came of them back onto the bus."""

from kannon.components.sender.component import Sender

__all__ = ["Sender"]
