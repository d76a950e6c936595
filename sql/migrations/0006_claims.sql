-- What has been due longest, over all domains. Only a query with this very CASE can take it: the walk over the rows of one
-- domain never reads those of all others, and this query never sorts the whole pool, however wrong the statistics are.
CREATE INDEX sending_pool_oldest ON sending_pool_emails (next_attempt_at)
    WHERE CASE WHEN cancelled_at IS NULL AND next_attempt_at < 'infinity' THEN state = 'scheduled' ELSE false END;
