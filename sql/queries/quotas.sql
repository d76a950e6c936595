-- The mails that keys and domains have sent, counted over all processes.

-- name: lock_quotas
-- In the order of the subjects, so that two processes cannot deadlock. A crash of PostgreSQL may forget the last
-- transactions, which costs their count and saves each of them the wait for the disk.
SELECT subject, greatest(day, '0001-01-01') AS day, used, greatest(busy_until, '0001-01-01+00') AS busy_until,
       clock_timestamp() AS now, set_config('synchronous_commit', 'off', true)
FROM quota_usage WHERE subject = ANY(:subjects::text[]) ORDER BY subject FOR UPDATE;

-- name: insert_quotas!
INSERT INTO quota_usage (subject) SELECT subject FROM unnest(:subjects::text[]) AS s(subject) ORDER BY subject
ON CONFLICT DO NOTHING;

-- name: store_quotas!
UPDATE quota_usage q SET day = n.day, used = n.used, busy_until = n.busy_until
FROM unnest(:subjects::text[], :days::date[], :used::bigint[], :busy_until::timestamptz[])
     AS n(subject, day, used, busy_until)
WHERE q.subject = n.subject;
