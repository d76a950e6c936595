-- What the Stats API reads. Times are [from, to).

-- name: list_stats
SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
       enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine, tag, metadata
FROM stats
WHERE domain = :domain AND at >= :from_time AND at < :to_time
ORDER BY at DESC, event_id DESC
OFFSET :skip LIMIT :take;

-- name: find_stats_page^
-- Where a page after :skip events begins: within this hour, after so many events of it. No row where there are none.
SELECT hour + interval '1 hour' AS before, :skip::bigint - newer AS skip
FROM (SELECT hour, sum(sum(count)) OVER (ORDER BY hour DESC)::bigint - sum(count)::bigint AS newer
      FROM count_events(:domain, :from_time, :to_time) GROUP BY hour) hours
WHERE newer <= :skip::bigint ORDER BY newer DESC, hour LIMIT 1;

-- name: count_stats$
SELECT coalesce(sum(count), 0)::bigint FROM count_events(:domain, :from_time, :to_time);

-- name: count_stats_by_hour
SELECT type, hour, sum(count)::bigint AS count FROM count_events(:domain, :from_time, :to_time)
GROUP BY hour, type ORDER BY hour, type;

-- name: list_aggregated_stats
-- Every hour that the range touches.
SELECT type, hour, count FROM aggregated_stats
WHERE domain = :domain AND hour >= date_trunc('hour', :from_time::timestamptz, 'UTC') AND hour < :to_time
ORDER BY hour, type;

-- The same for one tag.

-- name: list_tagged_stats
SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
       enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine, tag, metadata
FROM stats
WHERE domain = :domain AND tag = :tag AND tag <> '' AND at >= :from_time AND at < :to_time
ORDER BY at DESC, event_id DESC
OFFSET :skip LIMIT :take;

-- name: find_tagged_stats_page^
SELECT hour + interval '1 hour' AS before, :skip::bigint - newer AS skip
FROM (SELECT hour, sum(sum(count)) OVER (ORDER BY hour DESC)::bigint - sum(count)::bigint AS newer
      FROM count_tagged_events(:domain, :tag, :from_time, :to_time) GROUP BY hour) hours
WHERE newer <= :skip::bigint ORDER BY newer DESC, hour LIMIT 1;

-- name: count_tagged_stats$
SELECT coalesce(sum(count), 0)::bigint FROM count_tagged_events(:domain, :tag, :from_time, :to_time);

-- name: count_tagged_stats_by_hour
SELECT type, hour, sum(count)::bigint AS count FROM count_tagged_events(:domain, :tag, :from_time, :to_time)
GROUP BY hour, type ORDER BY hour, type;

-- name: list_aggregated_tag_stats
SELECT type, hour, count FROM tag_stats
WHERE domain = :domain AND tag = :tag AND hour >= date_trunc('hour', :from_time::timestamptz, 'UTC') AND hour < :to_time
ORDER BY hour, type;
