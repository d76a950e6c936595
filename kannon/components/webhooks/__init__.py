"""webhooks: posts events to the endpoints of the domains."""

from kannon.components.webhooks.component import Webhooks

__all__ = ["Webhooks"]
