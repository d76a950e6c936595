"""The outbound protocol: from an envelope to a verdict, for which a failed delivery is a value.

`deliver.Deliverer` is the whole of it for its callers, or `sandbox.Sandbox` in its place. Inside, in the order a mail
meets them: `routing` (where to; over `resolver` and `addresses`), `site` (one destination's connections and its queue;
over `limits`, `line`, `pace` and `outage`), `opening` (connect, EHLO, STARTTLS, AUTH; over `tls`), `slots` (how many at
once), `session` (bytes and deadlines of one connection; over `dialogue`, the protocol without I/O), `trouble` (what a
failure means, and whether another host is asked).
"""

from kannon.outbound.deliver import Deliverer
from kannon.outbound.sandbox import Sandbox
from kannon.outbound.site.site import Throttled

__all__ = ["Deliverer", "Sandbox", "Throttled"]
