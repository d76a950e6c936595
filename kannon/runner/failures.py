"""What ended a component, for the log and for the runner's decision."""

import traceback
from pathlib import Path

from kannon.errors import KannonError, OperatorError
from kannon.log import describe, leaves


def find_operator_error(error: BaseException) -> OperatorError | None:
    """The OperatorError in `error`, which may be a group of a component's task group."""
    return next((leaf for leaf in leaves(error) if isinstance(leaf, OperatorError)), None)


def explain(error: BaseException) -> str:
    """A KannonError explains itself. Any other error is a bug, so its file and line are added."""
    leaf = leaves(error)[0]
    if isinstance(leaf, KannonError):
        return " ".join(str(leaf).split())
    frames = traceback.extract_tb(leaf.__traceback__)
    return f"{describe(leaf)} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else describe(leaf)
