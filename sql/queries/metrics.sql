-- What the metrics read. Nothing here reads more than a fixed number of rows, however many wait.

-- name: count_deliveries
-- By state, to at most :most of each, and how long the oldest overdue one has waited; a held delivery is not due. Of
-- unvalidated mail the oldest of the first 1,000 tenants is taken, of claimed mail that of the 1,000 oldest claims.
WITH RECURSIVE heads AS (
    (SELECT domain, next_attempt_at, 1 AS place FROM sending_pool_emails
     WHERE state = 'to_validate' ORDER BY domain, next_attempt_at LIMIT 1)
    UNION ALL
    SELECT next.domain, next.next_attempt_at, h.place + 1 FROM heads h, LATERAL (
        SELECT domain, next_attempt_at FROM sending_pool_emails
        WHERE state = 'to_validate' AND domain > h.domain ORDER BY domain, next_attempt_at LIMIT 1) next
    WHERE h.place < 1000
), found AS (
    SELECT 'to_validate' AS state, (SELECT min(next_attempt_at) FROM heads) AS oldest,
           (SELECT count(*) FROM (SELECT FROM sending_pool_emails WHERE state = 'to_validate' LIMIT :most) r) AS count
    UNION ALL
    SELECT 'scheduled',
           (SELECT next_attempt_at FROM sending_pool_emails
            WHERE CASE WHEN cancelled_at IS NULL AND next_attempt_at < 'infinity' THEN state = 'scheduled' ELSE false END
            ORDER BY next_attempt_at LIMIT 1),
           (SELECT count(*) FROM (SELECT FROM sending_pool_emails WHERE state = 'scheduled' LIMIT :most) r)
    UNION ALL
    SELECT c.state,
           (SELECT min(next_attempt_at) FROM (SELECT next_attempt_at FROM sending_pool_emails
                                              WHERE state = c.state AND state IN ('validating', 'sending')
                                              ORDER BY claimed_at LIMIT 1000) r),
           (SELECT count(*) FROM (SELECT FROM sending_pool_emails
                                  WHERE state = c.state AND state IN ('validating', 'sending') LIMIT :most) r)
    FROM (VALUES ('validating'), ('sending')) AS c(state)
)
SELECT state, count, coalesce(greatest(extract(epoch FROM now() - oldest), 0), 0)::float8 AS overdue_seconds FROM found
WHERE count > 0;

-- name: estimate_deliveries
-- By state, from about :pages pages of the table, by PostgreSQL's own number of rows. After a crash PostgreSQL does not
-- know that number until autovacuum has run; then the sample's share of the pages stands for it.
WITH size AS (
    SELECT greatest(1, pg_relation_size('sending_pool_emails') / current_setting('block_size')::bigint) AS pages,
           pg_stat_get_live_tuples('sending_pool_emails'::regclass) AS rows
), sample AS (
    SELECT state, count(*) AS count FROM sending_pool_emails TABLESAMPLE SYSTEM (
        least(100, 100.0 * :pages::bigint / (SELECT pages FROM size))) REPEATABLE (0)
    GROUP BY state
)
SELECT state, (count * coalesce(nullif(rows, 0) / sum(count) OVER (), greatest(1, size.pages::numeric / :pages)))::bigint
       AS count
FROM sample, size;

-- name: count_all_suppressions$
-- Exact to 10,000; above, PostgreSQL's own number of rows. Expired ones are deleted every few minutes.
SELECT CASE WHEN count < 10000 THEN count ELSE greatest(count, pg_stat_get_live_tuples('suppressions'::regclass)) END
FROM (SELECT count(*) AS count FROM (SELECT FROM suppressions WHERE expires_at > now() LIMIT 10000) r) r;
