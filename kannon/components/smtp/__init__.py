"""smtp: receives reports and mail to the postmaster.

Reports to signed bounce addresses become events; mail to postmaster@ and abuse@ goes to a Maildir.

component.py   the server of kannon.smtp_server, for this work
session.py     one connection: recipients and messages
hops.py        counts the servers that a message has passed
handler.py     accepts recipients and stores messages; the order of effects
registry.py    deliveries, bounce secrets and tenant domains in PostgreSQL
postmaster.py  the Maildir
"""

from kannon.components.smtp.component import InboundSmtp
from kannon.components.smtp.handler import DeliveryRef, EventPublisher, Registry
from kannon.smtp_server import Limits

__all__ = ["DeliveryRef", "EventPublisher", "InboundSmtp", "Limits", "Registry"]
