"""The outbound side: from an envelope to a verdict. A failed delivery is a value.

Callers need `Deliverer`, or `Sandbox` in its place. `route/` finds the next hop, `site/` holds the connections and the
queue of each destination, `client/` speaks SMTP over one connection, `limiter` bounds the mails in flight, and
`trouble` decides what a failure means. `flow.md` has the picture and every limit.
"""

from kannon.outbound.deliver import Deliverer
from kannon.outbound.sandbox import Sandbox
from kannon.outbound.throttled import Throttled

__all__ = ["Deliverer", "Sandbox", "Throttled"]
