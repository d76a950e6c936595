"""PostgreSQL, the source of truth. asyncpg is imported nowhere else.

`database` opens the pool of connections, `queries` loads sql/queries/*.sql, `migrate` brings the schema up to
date; every other module wraps the statements of one file of sql/queries, one typed function each.
"""
