-- Events into rows and counters.

-- name: insert_events$
-- A page of events in one statement: only events that were new are counted, however often they are redelivered.
-- Anonymous opens and clicks (tracking_mode 2) leave their id and nothing else. Returns how many were new.
WITH page AS (
    SELECT * FROM unnest(
        :event_ids::text[], :ats::timestamptz[], :types::text[], :domains::text[], :message_ids::text[],
        :emails::text[], :delivery_ids::bigint[], :attempts::integer[], :tracking_modes::smallint[],
        :permanents::boolean[], :codes::integer[], :enhanced_statuses::text[], :texts::text[], :stages::text[],
        :hosts::text[], :tls::text[], :retry_afters::integer[], :user_agents::text[], :ips::text[], :urls::text[],
        :suspected_machines::boolean[])
    AS p(event_id, at, type, domain, message_id, email, delivery_id, attempt, tracking_mode, permanent, code,
         enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine)
), kept AS (
    INSERT INTO stats (event_id, at, type, domain, message_id, email, delivery_id, attempt, tracking_mode, permanent,
                       code, enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url,
                       suspected_machine)
    SELECT * FROM page WHERE tracking_mode <> 2
    ON CONFLICT DO NOTHING
    RETURNING domain, at, type
), anonymous AS (
    INSERT INTO anonymous_events (event_id, at)
    SELECT event_id, at FROM page WHERE tracking_mode = 2
    ON CONFLICT DO NOTHING
    RETURNING event_id
), fresh AS (
    SELECT domain, at, type FROM kept
    UNION ALL
    SELECT p.domain, p.at, p.type FROM page p JOIN anonymous USING (event_id)
), counted AS (
    INSERT INTO aggregated_stats AS a (domain, hour, type, count)
    SELECT domain, date_trunc('hour', at, 'UTC'), type, count(*) FROM fresh GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (domain, hour, type) DO UPDATE SET count = a.count + excluded.count
)
SELECT count(*) FROM fresh;

-- name: delete_old_anonymous_events!
DELETE FROM anonymous_events WHERE at < :before;

-- name: list_stats_partitions
SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'stats'::regclass ORDER BY c.relname;
