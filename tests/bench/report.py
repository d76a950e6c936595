"""The benchmark's results for a reader, side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_ROWS: Sequence[tuple[str, Callable[[dict[str, Any]], object]]] = (
    ("mails", lambda r: r["mails"]),
    ("mails per second", lambda r: f"[bold]{r['mails_per_second']}[/]"),
    ("… of openssl's RSA-2048 signatures on one core", lambda r: f"{r['ratio_to_openssl']:.2f}"),
    ("openssl speed rsa2048, signatures per second", lambda r: f"{r['openssl_rsa2048_per_second']:.0f}"),
    ("CPU per mail, ms", lambda r: f"[bold]{r['cpu_ms_per_mail_in_all']}[/]"),
)
_GROUPS = (
    ("cpu_ms_per_mail", "CPU per mail, {}, ms"),
    ("stages_mails_per_second", "stage {}, mails per second"),
    ("accept_to_delivery_seconds", "accept to delivery {}, s"),
    ("postgres_per_mail", "PostgreSQL per mail, {}"),
    ("disk_bytes_per_mail", "disk per mail, {}, bytes"),
    ("peak_rss_mib", "peak memory, {}, MiB"),
)
_LAST_ROWS: Sequence[tuple[str, Callable[[dict[str, Any]], object]]] = (
    ("one mail on an idle server, median ms", lambda r: r["single_mail_ms_p50"]),
    ("empty data_dir to ready, s", lambda r: r["ready_seconds"]),
    ("load average", lambda r: r["load_average"]),
    ("sent / delivered / sink / pool", lambda r: "[red]MAIL IS MISSING[/]" if r["lost"] else "nothing lost"),
)


def show(results: Sequence[dict[str, Any]]) -> None:
    console = Console()
    table = Table("what", *(result["workload"] for result in results), title="API to stored statistics")
    for name, value in _ROWS:
        table.add_row(name, *(str(value(result)) for result in results))
    for group, label in _GROUPS:
        for name in results[0][group]:
            table.add_row(label.format(name), *(str(result[group].get(name, "")) for result in results))
    for name, value in _LAST_ROWS:
        table.add_row(name, *(str(value(result)) for result in results))
    console.print(table)
    for result in results:
        console.print({key: result[key] for key in ("accepted", "delivered", "sink", "pool", "counters", "exit_code")})
