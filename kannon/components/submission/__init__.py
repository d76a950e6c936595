"""submission: takes mail by SMTP (RFC 6409) from applications that log in with an API key.

Each accepted message is one batch of raw mail, committed before the 250.

component.py  the server of kannon.smtp_server, for this work
session.py    one connection: AUTH, recipients, the message
login.py      an API key as user name and password
steering.py   X-Kannon-… fields, and a message as a SendRequest
replies.py    errors as replies
"""

from kannon.components.submission.component import Submission

__all__ = ["Submission"]
