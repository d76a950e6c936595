"""The number of examples in a run of the tests: TEST_LONG=1 (`make test-all`) runs the long forms."""

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("TEST_LONG") == "1"
LONG_EXAMPLES = 1000
USUAL_EXAMPLES = 50


def examples(count: int) -> settings:
    """`count` examples, the same in every run; in the long form LONG_EXAMPLES random ones. No example has a
    deadline."""
    return settings(
        max_examples=LONG_EXAMPLES if LONG else count,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


def set_usual_examples() -> None:
    """Sets the number for properties that do not name one."""
    settings.register_profile("usual", examples(USUAL_EXAMPLES))
    settings.load_profile("usual")
