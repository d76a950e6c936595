"""What this host is called: the one answer for EHLO, the inbound greeting, the DNS records to publish, and the links of
sandboxed mail.

In: the configuration. Out: the same with these names in it. The full name may have to be asked of the DNS, which
blocks: not for the event loop's thread.
"""

import os
import socket

from kannon.config import Bump, Config, split_listen


def name_host(config: Config) -> Config:
    """`sender.hostname` is the machine's name where it is empty; `smtp.hostname`, to which the MX record leads, is then
    the sender's, and `submission.hostname` that of smtp. In sandbox mode an empty `bump.base_url` is the address of
    this machine's bump, since the recipients' links lead to no public name."""
    sending = config.sender.hostname or _full_name()
    receiving = config.smtp.hostname or sending
    return config.model_copy(
        update={
            "sender": config.sender.model_copy(update={"hostname": sending}),
            "smtp": config.smtp.model_copy(update={"hostname": receiving}),
            "submission": config.submission.model_copy(update={"hostname": config.submission.hostname or receiving}),
            "bump": _name_bump(config.bump) if config.sender.mode == "sandbox" else config.bump,
        }
    )


def _name_bump(bump: Bump) -> Bump:
    """Unchanged where the port is 0: the system chooses one when bump starts."""
    host, port = split_listen(bump.listen)
    if bump.base_url or port == 0:
        return bump
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    name = f"[{host}]" if ":" in host else host
    return bump.model_copy(update={"base_url": f"http://{name}:{port}"})


def process_name() -> str:
    """Distinguishes the processes of an installation, also where several machines send under one name."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _full_name() -> str:
    # RFC 5321 §4.1.4: EHLO gives a name that resolves, hence a full one.
    name = socket.gethostname()
    return name if "." in name else socket.getfqdn()
