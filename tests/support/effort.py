"""How thoroughly a run of the tests looks: TEST_LONG=1 (`make test-all`) is for the long forms of them."""

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("TEST_LONG") == "1"
LONG_EXAMPLES = 1000
USUAL_EXAMPLES = 50


def examples(count: int) -> settings:
    """So many, always the same; or LONG_EXAMPLES by chance. Neither the clock nor a slow machine fails them."""
    return settings(
        max_examples=LONG_EXAMPLES if LONG else count,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


def set_usual_examples() -> None:
    """For the properties that name no number of their own."""
    settings.register_profile("usual", examples(USUAL_EXAMPLES))
    settings.load_profile("usual")
