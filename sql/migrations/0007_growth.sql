-- What lists and statistics of large installations read instead of all rows.

-- Of `count`, those that have no row in `stats`: anonymous opens and clicks. So `count - anonymous` is the number of rows
-- of an hour, for as long as its partition exists.
ALTER TABLE aggregated_stats ADD COLUMN anonymous bigint NOT NULL DEFAULT 0;

UPDATE aggregated_stats a
SET anonymous = a.count - (SELECT count(*) FROM stats s WHERE s.domain = a.domain AND s.type = a.type
                           AND s.at >= a.hour AND s.at < a.hour + interval '1 hour')
WHERE a.type IN ('opened', 'clicked') AND EXISTS (SELECT FROM anonymous_events);

-- The rows of `stats` by type and hour: of whole hours from the counters, of the hours at both ends from the rows.
CREATE FUNCTION count_events(tenant text, from_time timestamptz, to_time timestamptz)
    RETURNS TABLE (type text, hour timestamptz, count bigint) LANGUAGE sql STABLE
    AS $$
    SELECT a.type, a.hour, a.count - a.anonymous FROM aggregated_stats a
    WHERE a.domain = tenant AND a.count > a.anonymous
      AND a.hour >= date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC')
      AND a.hour < date_trunc('hour', to_time, 'UTC')
      AND date_trunc('week', a.hour, 'UTC') = ANY(ARRAY(
          SELECT right(c.relname, 8)::timestamp AT TIME ZONE 'UTC' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = 'stats'::regclass AND NOT i.inhdetachpending))
    UNION ALL
    SELECT s.type, date_trunc('hour', s.at, 'UTC'), count(*) FROM stats s
    WHERE s.domain = tenant AND s.at >= from_time
      AND s.at < least(to_time, date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC'))
    GROUP BY 1, 2
    UNION ALL
    SELECT s.type, date_trunc('hour', s.at, 'UTC'), count(*) FROM stats s
    WHERE s.domain = tenant AND s.at < to_time
      AND s.at >= greatest(date_trunc('hour', to_time, 'UTC'),
                           date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC'))
    GROUP BY 1, 2
    $$;

-- `kannon queue list --to` without a batch.
CREATE INDEX sending_pool_by_email ON sending_pool_emails (lower(email));
