"""The benchmark's result for a reader."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show(result: dict[str, Any]) -> None:
    console = Console()
    table = Table("what", "figure", title=f"{result['mails']} mails, API to stored statistics")
    table.add_row("mails per second", f"[bold]{result['mails_per_second']}[/]")
    table.add_row("… of openssl's RSA-2048 signatures on one core", f"{result['ratio_to_openssl']:.2f}")
    table.add_row("openssl speed rsa2048, signatures per second", f"{result['openssl_rsa2048_per_second']:.0f}")
    for name, rate in result["stages_mails_per_second"].items():
        table.add_row(f"stage {name}, mails per second", str(rate))
    for name, seconds in result["accept_to_delivery_seconds"].items():
        table.add_row(f"accept to delivery {name}, s", str(seconds))
    for name, milliseconds in result["cpu_ms_per_mail"].items():
        table.add_row(f"CPU per mail, {name}, ms", str(milliseconds))
    for name, size in result["peak_rss_mib"].items():
        table.add_row(f"peak memory, {name}, MiB", str(size))
    table.add_row("one mail on an idle server, median ms", str(result["single_mail_ms_p50"]))
    table.add_row("empty data_dir to ready, s", str(result["ready_seconds"]))
    verdict = "[red]MAIL IS MISSING[/]" if result["lost"] else "nothing lost"
    table.add_row("accepted / delivered / sink / pool", verdict)
    console.print(table)
    console.print({key: result[key] for key in ("accepted", "delivered", "sink", "pool", "counters", "exit_code")})
