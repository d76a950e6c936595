"""What a statement of sql/queries costs: PostgreSQL's plan, and the pages it touches."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kannon.db.queries import queries

if TYPE_CHECKING:
    from kannon.db.pool import Connection

_DROPPED = ("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")


@dataclass(frozen=True, slots=True)
class Explained:
    plan: dict[str, Any]
    milliseconds: float
    """With the planning."""

    @property
    def buffers(self) -> int:
        """Pages of 8 kB that the statement touches, in memory or not."""
        return int(self.plan["Shared Hit Blocks"] + self.plan["Shared Read Blocks"])

    def rows(self, table: str | None = None) -> float:
        """The most rows that one node gives or drops in all its loops; of the nodes that read `table`, or of all."""
        return max(
            float(node["Actual Loops"] * (node["Actual Rows"] + sum(node.get(key, 0) for key in _DROPPED)))
            for node in self._nodes()
            if table is None or node.get("Relation Name") == table
        )

    def tables(self) -> set[str]:
        return {node["Relation Name"] for node in self._nodes() if "Relation Name" in node}

    def scanned(self) -> set[str]:
        """The tables that the statement reads from end to end."""
        return {node["Relation Name"] for node in self._nodes() if node["Node Type"] == "Seq Scan"}

    def _nodes(self) -> Iterator[dict[str, Any]]:
        waiting = [self.plan]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", [])


async def explain(connection: "Connection", name: str, **parameters: object) -> Explained:
    """Runs the statement, with the settings that the connection has. The effect stays."""
    literals = ", ".join(_literal(parameters[key]) for key in queries.driver_adapter.var_sorted.get(name, ()))
    arguments = f"({literals})" if literals else ""
    await connection.execute(f"PREPARE explained AS {getattr(queries, name).sql}")
    try:
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained {arguments}")
    finally:
        await connection.execute("DEALLOCATE explained")
    [explained] = json.loads(text)
    return Explained(explained["Plan"], explained["Planning Time"] + explained["Execution Time"])


def _literal(value: object) -> str:
    """Of any type: PostgreSQL knows the parameter's."""
    if isinstance(value, list):
        value = "{" + ",".join(json.dumps(str(item)) for item in value) + "}"
    if isinstance(value, timedelta):
        value = f"{value.total_seconds()} seconds"
    return "'" + str(value).replace("'", "''") + "'"
