"""smtp: what comes back. Reports to signed bounce addresses become events; mail to postmaster@ and abuse@ is kept.

component.py   listens, counts connections, stops in two steps
session.py     one connection: the dialogue and its limits
intake.py      who may be written to, and what becomes of a mail; the order of effects
postmaster.py  the Maildir
"""

from kannon.components.smtp.component import InboundSmtp
from kannon.components.smtp.handler import DeliveryRef, EventPublisher, Registry
from kannon.components.smtp.limits import Limits

__all__ = ["DeliveryRef", "EventPublisher", "InboundSmtp", "Limits", "Registry"]
