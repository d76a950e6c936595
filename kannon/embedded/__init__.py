"""The two embedded servers: PostgreSQL and nats-server, as child processes with their data under data_dir.

In: a data directory. Out: for each a URL, and a `run` that the runner supervises as it does a component.
Nothing outside data_dir is created, chmod'ed or chown'ed, and no child outlives this process, not even after kill -9.
"""

from kannon.embedded.data_dir import DataDir, read_admin_token
from kannon.embedded.nats import EmbeddedNats
from kannon.embedded.postgres import EmbeddedPostgres

__all__ = ["DataDir", "EmbeddedNats", "EmbeddedPostgres", "read_admin_token"]
