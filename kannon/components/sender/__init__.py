"""The sender: consumes envelopes, delivers them by SMTP, publishes their outcomes."""

from kannon.components.sender.component import Sender

__all__ = ["Sender"]
