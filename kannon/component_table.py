"""Every component that `components.enabled` can name: one row of COMPONENTS.

To add a component, write its factory (kannon.component_factories), its row, its table in the configuration and its name
in kannon.config.values.
"""

from typing import Final

from kannon.component_factories import (
    make_api,
    make_bump,
    make_dispatcher,
    make_sender,
    make_smtp,
    make_stats,
    make_submission,
    make_validator,
    make_webhooks,
)
from kannon.component_parts import ComponentEntry, Layer, Need

BOTH: Final = frozenset({Need.POSTGRES, Need.NATS})
WITH_KEY: Final = BOTH | {Need.MASTER_KEY}
COMPONENTS: Final = (
    ComponentEntry("api", Layer.FRONT, WITH_KEY, make_api, label="API (gRPC, HTTP)"),
    ComponentEntry("validator", Layer.BACK, BOTH, make_validator),
    ComponentEntry("dispatcher", Layer.BACK, WITH_KEY, make_dispatcher),
    ComponentEntry("sender", Layer.FRONT, frozenset({Need.NATS}), make_sender, gauge="destinations"),
    ComponentEntry("smtp", Layer.FRONT, WITH_KEY, make_smtp, label="bounces (SMTP)", gauge="inbound_sessions"),
    ComponentEntry(
        "submission", Layer.FRONT, BOTH, make_submission, label="submission (SMTP)", gauge="submission_sessions"
    ),
    ComponentEntry("bump", Layer.FRONT, WITH_KEY, make_bump, label="opens and clicks (HTTP)", gauge="engagement"),
    ComponentEntry("stats", Layer.BACK, BOTH, make_stats),
    ComponentEntry("webhooks", Layer.BACK, WITH_KEY, make_webhooks),
)
"""Every name that `components.enabled` accepts (a test compares the two), in the order of the mail's way."""
