"""PostgreSQL, the source of truth. asyncpg is imported nowhere else.

`pool` opens the connection pool, `queries` loads sql/queries/*.sql, `migrate` brings the schema up to date. Each other
module wraps the statements of one file of sql/queries, with one typed function for each statement.
"""
