"""smtp: receives reports and mail to the postmaster.

Reports to signed bounce addresses become events; mail to postmaster@ and abuse@ goes to a Maildir.

component.py   listens, limits connections, stops in two steps
session.py     one connection: commands, replies and limits
dialogue.py    aiosmtpd, adapted; STARTTLS
content.py     reads the content after DATA
handler.py     accepts recipients and stores messages; the order of effects
registry.py    deliveries, bounce secrets and tenant domains in PostgreSQL
postmaster.py  the Maildir
limits.py      all limits, and the count of connections
"""

from kannon.components.smtp.component import InboundSmtp
from kannon.components.smtp.handler import DeliveryRef, EventPublisher, Registry
from kannon.components.smtp.limits import Limits

__all__ = ["DeliveryRef", "EventPublisher", "InboundSmtp", "Limits", "Registry"]
