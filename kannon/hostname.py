"""What this host is called: the one answer for EHLO, the inbound greeting, and the DNS records to publish.

In: the configuration. Out: the same with both names in it. The full name may have to be asked of the DNS, which blocks:
not for the event loop's thread.
"""

import os
import socket

from kannon.config import Config


def name_host(config: Config) -> Config:
    """`sender.hostname` is the machine's name where it is empty; `smtp.hostname`, to which the MX record leads, is then
    the sender's."""
    sending = config.sender.hostname or _full_name()
    receiving = config.smtp.hostname or sending
    return config.model_copy(
        update={
            "sender": config.sender.model_copy(update={"hostname": sending}),
            "smtp": config.smtp.model_copy(update={"hostname": receiving}),
        }
    )


def process_name() -> str:
    """Distinguishes the processes of an installation, also where several machines send under one name."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _full_name() -> str:
    # RFC 5321 §4.1.4: EHLO gives a name that resolves, hence a full one.
    name = socket.gethostname()
    return name if "." in name else socket.getfqdn()
