"""Events as lines for people: one outcome for each delivery, and the reply, reason or URL in one line.

In: events of the API. Out: the events to show, and text.
"""

from collections.abc import Iterable

from kannon.pb.stats.types.stats_pb2 import Stats

ENDINGS = frozenset({"bounced", "failed"})


def merge_last_deferral(events: Iterable[Stats]) -> list[Stats]:
    """Without the `error` of an attempt whose deferral ended the delivery: the server stores that attempt as `error`
    and then, since no further attempt fits into the retry window, as `bounced` or `failed`."""
    events = list(events)
    ended = {(e.delivery_id, e.attempt) for e in events if e.type in ENDINGS and e.delivery_id and e.attempt}
    return [e for e in events if e.type != "error" or (e.delivery_id, e.attempt) not in ended]


def detail(event: Stats) -> str:
    data = event.data
    match data.WhichOneof("data"):
        case "delivered":
            reply = f"{data.delivered.code or ''} {data.delivered.msg}".strip() or event.host
            return f"{reply} ({event.tls})" if event.tls else reply
        case "bounced":
            reply = f"{data.bounced.code or ''} {data.bounced.msg}".strip()
            return f"gave up after {_tries(event)}: {reply}" if _is_given_up(event) else reply
        case "error":
            return f"{data.error.code or ''} {data.error.msg}".strip()
        case "rejected":
            return data.rejected.reason
        case "failed":
            return data.failed.reason
        case "clicked":
            return data.clicked.url
        case _:
            return event.host


def _is_given_up(event: Stats) -> bool:
    """A temporary refusal that the retry window made the last one. A report has no attempt."""
    return not event.data.bounced.permanent and event.attempt > 0


def _tries(event: Stats) -> str:
    return "1 try" if event.attempt == 1 else f"{event.attempt} tries"
