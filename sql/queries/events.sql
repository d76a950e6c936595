-- Events in the order in which they are stored. A page reads at most :scan rows, of which few or none may match.

-- name: find_newest_position$
SELECT coalesce((SELECT position FROM stats WHERE position > 0 ORDER BY position DESC LIMIT 1), 0);

-- name: find_last_position$
-- The last that was drawn; its event may not be visible yet, or not exist.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM stats_position;

-- name: list_new_events
SELECT position, event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
       enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine, tag,
       metadata
FROM stats WHERE position > 0 AND position > :after ORDER BY position LIMIT :take;

-- name: list_events
-- One of the three parts is read. The row of `last` and `scanned` comes also where no event matches.
WITH scanned AS MATERIALIZED (
    (SELECT * FROM stats WHERE :message_id = '' AND :domain = '' AND position > 0 AND position > :after
     ORDER BY position LIMIT :scan)
    UNION ALL
    (SELECT * FROM stats
     WHERE :message_id = '' AND :domain <> '' AND domain = :domain AND position > 0 AND position > :after
     ORDER BY position LIMIT :scan)
    UNION ALL
    (SELECT * FROM stats WHERE :message_id <> '' AND message_id = :message_id AND position > 0 AND position > :after
     ORDER BY position LIMIT :scan)
)
SELECT w.last, w.scanned, e.position, e.event_id, e.type, e.domain, e.message_id, e.email, e.at, e.tracking_mode,
       e.delivery_id, e.attempt, e.permanent, e.code, e.enhanced_status, e.text, e.stage, e.host, e.tls,
       e.retry_after_seconds, e.user_agent, e.ip, e.url, e.suspected_machine, e.tag, e.metadata
FROM (SELECT max(position) AS last, count(*) AS scanned FROM scanned) w LEFT JOIN (
    SELECT * FROM scanned
    WHERE (cardinality(:types::text[]) = 0 OR type = ANY(:types::text[])) AND (:domain = '' OR domain = :domain)
      AND (:email = '' OR lower(email) = lower(:email)) AND (:tag = '' OR tag = :tag)
    ORDER BY position LIMIT :take) e ON true
ORDER BY e.position;

-- name: list_events_newest_first
WITH scanned AS MATERIALIZED (
    (SELECT * FROM stats WHERE :message_id = '' AND :domain = '' AND position > 0 AND position < :before
     ORDER BY position DESC LIMIT :scan)
    UNION ALL
    (SELECT * FROM stats
     WHERE :message_id = '' AND :domain <> '' AND domain = :domain AND position > 0 AND position < :before
     ORDER BY position DESC LIMIT :scan)
    UNION ALL
    (SELECT * FROM stats WHERE :message_id <> '' AND message_id = :message_id AND position > 0 AND position < :before
     ORDER BY position DESC LIMIT :scan)
)
SELECT w.last, w.scanned, e.position, e.event_id, e.type, e.domain, e.message_id, e.email, e.at, e.tracking_mode,
       e.delivery_id, e.attempt, e.permanent, e.code, e.enhanced_status, e.text, e.stage, e.host, e.tls,
       e.retry_after_seconds, e.user_agent, e.ip, e.url, e.suspected_machine, e.tag, e.metadata
FROM (SELECT min(position) AS last, count(*) AS scanned FROM scanned) w LEFT JOIN (
    SELECT * FROM scanned
    WHERE (cardinality(:types::text[]) = 0 OR type = ANY(:types::text[])) AND (:domain = '' OR domain = :domain)
      AND (:email = '' OR lower(email) = lower(:email)) AND (:tag = '' OR tag = :tag)
    ORDER BY position DESC LIMIT :take) e ON true
ORDER BY e.position DESC;
