-- What the Stats API reads. Times are [from, to).

-- name: list_stats
SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
       enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine
FROM stats
WHERE domain = :domain AND at >= :from_time AND at < :to_time
ORDER BY at DESC, event_id DESC
OFFSET :skip LIMIT :take;

-- name: count_stats$
SELECT count(*) FROM stats WHERE domain = :domain AND at >= :from_time AND at < :to_time;

-- name: count_stats_by_hour
SELECT type, date_trunc('hour', at, 'UTC') AS hour, count(*) AS count
FROM stats
WHERE domain = :domain AND at >= :from_time AND at < :to_time
GROUP BY 2, 1
ORDER BY 2, 1;

-- name: list_aggregated_stats
-- Every hour that the range touches.
SELECT type, hour, count FROM aggregated_stats
WHERE domain = :domain AND hour >= date_trunc('hour', :from_time::timestamptz, 'UTC') AND hour < :to_time
ORDER BY hour, type;
