-- What the Stats API reads. Times are [from, to). A page ends before (:before_at, :before_id), the last event of the page
-- that was read before it; an empty :before_id is before all events of its time.

-- name: list_stats
SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
       enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine, tag, metadata
FROM stats
WHERE domain = :domain AND at >= :from_time AND at <= :before_at AND (at, event_id) < (:before_at, :before_id)
ORDER BY at DESC, event_id DESC
OFFSET :skip LIMIT :take;

-- name: list_stats_of_types
-- Accepted and delivered have no index of their own: the walk begins in their last hour.
SELECT found.* FROM (
    SELECT each.* FROM unnest(:types::text[]) wanted, LATERAL (
        SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
               enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine,
               tag, metadata
        FROM stats
        WHERE domain = :domain AND type = wanted AND type NOT IN ('accepted', 'delivered')
          AND at >= :from_time AND at <= :before_at AND (at, event_id) < (:before_at, :before_id)
        ORDER BY at DESC, event_id DESC LIMIT :skip::bigint + :take::bigint
    ) each
    UNION ALL
    (SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
            enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine,
            tag, metadata
     FROM stats
     WHERE :types::text[] && ARRAY['accepted', 'delivered'] AND domain = :domain
       AND type = ANY(:types) AND type IN ('accepted', 'delivered')
       AND at >= :from_time AND at <= :before_at AND (at, event_id) < (:before_at, :before_id)
       AND at < (SELECT max(hour) + interval '1 hour' FROM aggregated_stats
                 WHERE domain = :domain AND type = ANY(:types) AND type IN ('accepted', 'delivered')
                   AND hour <= :before_at)
     ORDER BY at DESC, event_id DESC LIMIT :skip::bigint + :take::bigint)
) found ORDER BY at DESC, event_id DESC OFFSET :skip LIMIT :take;

-- name: list_stats_of_batch
-- OFFSET 0: the planner may not walk along the domain instead, in the hope that the batch is most of it.
SELECT of_batch.* FROM (
    SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
           enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine,
           tag, metadata
    FROM stats
    WHERE message_id = :message_id AND at >= :from_time AND at <= :before_at
      AND (at, event_id) < (:before_at, :before_id)
    ORDER BY at DESC, event_id DESC OFFSET 0
) of_batch
WHERE domain = :domain AND (:types::text[] = '{}' OR type = ANY(:types))
  AND (:email = '' OR lower(email) = lower(:email)) AND (:tag = '' OR tag = :tag)
ORDER BY at DESC, event_id DESC
OFFSET :skip LIMIT :take;

-- name: count_stats_of_batch$
SELECT count(*) FROM (SELECT FROM (
    SELECT domain, type, email, tag FROM stats
    WHERE message_id = :message_id AND at >= :from_time AND at < :to_time OFFSET 0
) of_batch
WHERE domain = :domain AND (:types::text[] = '{}' OR type = ANY(:types))
  AND (:email = '' OR lower(email) = lower(:email)) AND (:tag = '' OR tag = :tag) LIMIT :most) counted;

-- name: keep_to_filters^
-- For this transaction: without statistics of lower(email), which old partitions may lack, the planner reads all rows.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true);

-- name: list_stats_to_address
-- After keep_to_filters. OFFSET 0 as above.
SELECT to_address.* FROM (
    SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
           enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine,
           tag, metadata
    FROM stats
    WHERE lower(email) = lower(:email) AND at >= :from_time AND at <= :before_at
      AND (at, event_id) < (:before_at, :before_id) OFFSET 0
) to_address
WHERE domain = :domain AND (:types::text[] = '{}' OR type = ANY(:types)) AND (:tag = '' OR tag = :tag)
ORDER BY at DESC, event_id DESC
OFFSET :skip LIMIT :take;

-- name: count_stats_to_address$
-- After keep_to_filters.
SELECT count(*) FROM (
    SELECT domain, type, tag FROM stats
    WHERE lower(email) = lower(:email) AND at >= :from_time AND at < :to_time OFFSET 0
) to_address
WHERE domain = :domain AND (:types::text[] = '{}' OR type = ANY(:types)) AND (:tag = '' OR tag = :tag);

-- name: find_stats_page^
-- Where a page after :skip events begins: within this hour, after so many events of it. No row where there are none.
SELECT hour + interval '1 hour' AS before, :skip::bigint - newer AS skip
FROM (SELECT hour, sum(sum(count)) OVER (ORDER BY hour DESC)::bigint - sum(count)::bigint AS newer
      FROM count_events(:domain, :from_time, :to_time) GROUP BY hour) hours
WHERE newer <= :skip::bigint ORDER BY newer DESC, hour LIMIT 1;

-- name: count_stats$
SELECT coalesce(sum(count), 0)::bigint FROM count_events(:domain, :from_time, :to_time)
WHERE :types::text[] = '{}' OR type = ANY(:types);

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
WHERE domain = :domain AND tag = :tag AND tag <> '' AND (:types::text[] = '{}' OR type = ANY(:types))
  AND at >= :from_time AND at <= :before_at AND (at, event_id) < (:before_at, :before_id)
ORDER BY at DESC, event_id DESC
OFFSET :skip LIMIT :take;

-- name: find_tagged_stats_page^
SELECT hour + interval '1 hour' AS before, :skip::bigint - newer AS skip
FROM (SELECT hour, sum(sum(count)) OVER (ORDER BY hour DESC)::bigint - sum(count)::bigint AS newer
      FROM count_tagged_events(:domain, :tag, :from_time, :to_time) GROUP BY hour) hours
WHERE newer <= :skip::bigint ORDER BY newer DESC, hour LIMIT 1;

-- name: count_tagged_stats$
SELECT coalesce(sum(count), 0)::bigint FROM count_tagged_events(:domain, :tag, :from_time, :to_time)
WHERE :types::text[] = '{}' OR type = ANY(:types);

-- name: count_tagged_stats_by_hour
SELECT type, hour, sum(count)::bigint AS count FROM count_tagged_events(:domain, :tag, :from_time, :to_time)
GROUP BY hour, type ORDER BY hour, type;

-- name: list_aggregated_tag_stats
SELECT type, hour, count FROM tag_stats
WHERE domain = :domain AND tag = :tag AND hour >= date_trunc('hour', :from_time::timestamptz, 'UTC') AND hour < :to_time
ORDER BY hour, type;

-- name: count_all_events_by_hour
-- Of all domains, anonymous events included.
SELECT a.type, a.hour, sum(a.count)::bigint AS count
FROM domains d JOIN aggregated_stats a ON a.domain = d.domain AND a.hour >= :from_time
GROUP BY a.type, a.hour ORDER BY a.hour, a.type;

-- name: count_engagement_by_hour
SELECT type, date_trunc('hour', at, 'UTC') AS hour, count(*) AS count FROM stats
WHERE message_id = :message_id AND type IN ('opened', 'clicked') GROUP BY 1, 2 ORDER BY 2, 1;

-- name: count_clicks_by_link
SELECT url, count(*) AS count FROM stats WHERE message_id = :message_id AND type = 'clicked' AND url <> ''
GROUP BY url ORDER BY count DESC, url LIMIT :take;
