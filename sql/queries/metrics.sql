-- What the metrics read.

-- name: count_deliveries
-- By state, and how long the oldest overdue one has waited; a held delivery is not due.
SELECT state, count(*) AS count,
       coalesce(extract(epoch FROM now() - min(next_attempt_at) FILTER (WHERE next_attempt_at <= now())), 0)::float8
           AS overdue_seconds
FROM sending_pool_emails GROUP BY state;

-- name: count_all_suppressions$
SELECT count(*) FROM suppressions WHERE expires_at > now();
