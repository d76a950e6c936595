"""bump: opens and clicks, over HTTP."""

from kannon.components.bump.component import Bump

__all__ = ["Bump"]
