"""An SMTP server that anyone may connect to: what the components smtp and submission share.

server.py    listens, limits connections, stops in two steps
session.py   one connection: commands, replies and their limits
dialogue.py  aiosmtpd, adapted; STARTTLS and implicit TLS
content.py   reads the content after DATA
limits.py    all limits, and the count of connections
"""

from kannon.smtp_server.limits import Limits
from kannon.smtp_server.server import Listener, SmtpServer
from kannon.smtp_server.session import ServerSession, Shared

__all__ = ["Limits", "Listener", "ServerSession", "Shared", "SmtpServer"]
