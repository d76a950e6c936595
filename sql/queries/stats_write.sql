-- Events into rows and counters.

-- name: lock_stats$
-- One page at a time: a page sees all events that earlier pages stored, and their positions are lower than its own, for
-- the lock is released after the commit. A process that stops in the middle of its transaction loses its connection, and
-- with it the lock.
SELECT set_config('idle_in_transaction_session_timeout', '10s', true), pg_advisory_xact_lock(1802006125);

-- name: insert_events^
-- A page of events in one statement: only new events are counted, however often they are redelivered. An event is new
-- where no event of its id lies within :apart of it; reports of one delivery share an id and have dates of their own, so
-- for them no event of that id may exist at all. The primary key does not ensure that, for it contains the time: an
-- outcome that is published again after a crash has another one. A scalar subquery, not EXISTS: joined, a table that
-- has no statistics yet would be read whole.
-- Positions follow the events' times within a page.
-- `labelled`: the tags and metadata of the page's batches; an index of those alone makes it cheap where there are none.
-- Of anonymous opens and clicks (tracking_mode 2) only the id is stored. A new event that calls for it suppresses its
-- address in the same transaction, an unsubscribe only for mail with the same tag, so a redelivery does not restore an entry that an operator has removed. One that needs
-- a second bounce is noted in first_bounces, and suppresses where an earlier page noted another delivery, :second_after
-- to :first_kept before it; a delivery in between ends the note.
-- Each new event is queued for the webhook endpoints of its domain that want its type, and so is each suppression; a batch
-- is noted where an endpoint wants to know its end. Batches of 20 recipients and more are counted for the guard. Returns
-- the number of new events by domain and type, the ids of those that suppressed an address, the number of queued events,
-- and of each counted batch that the guard has not paused yet its domain, its counts and the overrides of its domain.
WITH labelled AS MATERIALIZED (
    SELECT message_id, tag, metadata FROM messages
    WHERE message_id = ANY(:message_ids::text[]) AND (tag <> '' OR metadata <> '{}')
), page AS (
    SELECT p.*, coalesce(l.tag, '') AS tag, coalesce(l.metadata, '{}') AS metadata FROM unnest(
        :event_ids::text[], :ats::timestamptz[], :types::text[], :domains::text[], :message_ids::text[],
        :emails::text[], :delivery_ids::bigint[], :attempts::integer[], :tracking_modes::smallint[],
        :permanents::boolean[], :codes::integer[], :enhanced_statuses::text[], :texts::text[], :stages::text[],
        :hosts::text[], :tls::text[], :retry_afters::integer[], :user_agents::text[], :ips::text[], :urls::text[],
        :suspected_machines::boolean[])
    AS p(event_id, at, type, domain, message_id, email, delivery_id, attempt, tracking_mode, permanent, code,
         enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine)
    LEFT JOIN labelled l USING (message_id)
), kept AS (
    INSERT INTO stats (event_id, at, type, domain, message_id, email, delivery_id, attempt, tracking_mode, permanent,
                       code, enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url,
                       suspected_machine, tag, metadata, position)
    SELECT n.*, nextval('stats_position')
    FROM (SELECT event_id, at, type, domain, message_id, email, delivery_id, attempt, tracking_mode, permanent, code,
                 enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine,
                 tag, metadata
          FROM page p
          WHERE tracking_mode <> 2
            AND CASE WHEN stage = 'report'
                     THEN (SELECT true FROM stats s WHERE s.event_id = p.event_id LIMIT 1)
                     ELSE (SELECT true FROM stats s WHERE s.event_id = p.event_id AND s.at >= p.at - :apart::interval
                                                      AND s.at <= p.at + :apart::interval LIMIT 1) END IS NULL
          ORDER BY at, event_id) n
    ON CONFLICT DO NOTHING
    RETURNING event_id, domain, at, type, tag, message_id, stage
), anonymous AS (
    INSERT INTO anonymous_events (event_id, at)
    SELECT event_id, at FROM page WHERE tracking_mode = 2
    ON CONFLICT DO NOTHING
    RETURNING event_id
), fresh AS (
    SELECT event_id, domain, at, type, tag, 0 AS anonymous FROM kept
    UNION ALL
    SELECT event_id, p.domain, p.at, p.type, p.tag, 1 FROM page p JOIN anonymous USING (event_id)
), counted AS (
    INSERT INTO aggregated_stats AS a (domain, hour, type, count, anonymous)
    SELECT domain, date_trunc('hour', at, 'UTC'), type, count(*), sum(anonymous) FROM fresh
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (domain, hour, type) DO UPDATE
    SET count = a.count + excluded.count, anonymous = a.anonymous + excluded.anonymous
), counted_by_tag AS (
    INSERT INTO tag_stats AS a (domain, tag, hour, type, count, anonymous)
    SELECT domain, tag, date_trunc('hour', at, 'UTC'), type, count(*), sum(anonymous) FROM fresh WHERE tag <> ''
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (domain, tag, hour, type) DO UPDATE
    SET count = a.count + excluded.count, anonymous = a.anonymous + excluded.anonymous
), hard AS (
    SELECT p.*, n.address, n.expires_at, n.needs_second,
           CASE WHEN p.type = 'unsubscribed' THEN p.tag ELSE '' END AS suppressed_tag
    FROM unnest(:suppress_event_ids::text[], :suppress_addresses::text[], :suppress_expiries::timestamptz[],
                :suppress_needs_second::boolean[]) AS n(event_id, address, expires_at, needs_second)
    JOIN kept USING (event_id) JOIN page p USING (event_id) JOIN domains d ON d.domain = p.domain
    WHERE d.suppression_enabled OR p.type = 'unsubscribed'
), ended AS (
    DELETE FROM first_bounces f USING page p
    WHERE p.type = 'delivered' AND f.domain = p.domain AND f.address = lower(p.email)
), noted AS (
    INSERT INTO first_bounces AS f (domain, address, at, delivery_id)
    SELECT DISTINCT ON (domain, address) domain, address, at, delivery_id FROM hard WHERE needs_second
    ORDER BY domain, address, at
    ON CONFLICT (domain, address) DO UPDATE SET at = excluded.at, delivery_id = excluded.delivery_id
    WHERE excluded.at > f.at + :first_kept::interval
), suppressed AS (
    INSERT INTO suppressions AS s (domain, address, tag, email, cause, since, expires_at, event_id, message_id,
                                   delivery_id, code, enhanced_status, text, host)
    SELECT DISTINCT ON (domain, address, suppressed_tag)
           domain, address, suppressed_tag, email, type, at, coalesce(expires_at, 'infinity'), event_id, message_id,
           delivery_id, code, enhanced_status, text, host
    FROM hard h
    WHERE NOT needs_second
       OR EXISTS (SELECT FROM first_bounces f
                  WHERE f.domain = h.domain AND f.address = h.address AND f.delivery_id <> h.delivery_id
                    AND h.at BETWEEN f.at + :second_after::interval AND f.at + :first_kept::interval)
    ORDER BY domain, address, suppressed_tag, type = 'complained' DESC, expires_at DESC NULLS FIRST
    ON CONFLICT (domain, address, tag) DO UPDATE
    SET email = excluded.email, cause = excluded.cause, since = excluded.since, note = '',
        expires_at = greatest(s.expires_at, excluded.expires_at), event_id = excluded.event_id,
        message_id = excluded.message_id, delivery_id = excluded.delivery_id, code = excluded.code,
        enhanced_status = excluded.enhanced_status, text = excluded.text, host = excluded.host
    WHERE excluded.expires_at > s.expires_at
       OR (s.cause = 'bounced' AND excluded.cause IN ('complained', 'unsubscribed'))
    RETURNING s.event_id, s.domain, s.since, to_jsonb(s) AS entry
), endpoint AS MATERIALIZED (
    SELECT id, domain, types FROM webhook_endpoints WHERE enabled AND domain = ANY(:domains::text[])
), wanted AS (
    SELECT e.id, e.types, 'delivery.' || CASE f.type WHEN 'error' THEN 'deferred' ELSE f.type END AS name, p.*
    FROM endpoint e JOIN fresh f ON f.domain = e.domain JOIN page p ON p.event_id = f.event_id
), queued AS (
    INSERT INTO webhook_outbox (endpoint_id, event_id, type, at, data)
    SELECT id, event_id, name, at, to_jsonb(wanted) - '{id,types,name}'::text[] FROM wanted
    WHERE types = '{}' OR name = ANY(types)
    UNION ALL
    SELECT e.id, s.event_id || '.suppressed', 'address.suppressed', s.since, s.entry
    FROM endpoint e JOIN suppressed s ON s.domain = e.domain
    WHERE e.types = '{}' OR 'address.suppressed' = ANY(e.types)
    RETURNING id
), noted_batch AS (
    INSERT INTO webhook_batches (message_id, domain)
    SELECT DISTINCT m.message_id, m.domain FROM wanted w JOIN messages m USING (message_id)
    WHERE w.type IN ('accepted', 'rejected') AND (w.types = '{}' OR 'batch.finished' = ANY(w.types))
    ON CONFLICT DO NOTHING
), large AS MATERIALIZED (
    SELECT message_id, domain FROM messages
    WHERE message_id = ANY(:message_ids::text[]) AND accepted_count >= 20 AND cancelled_at IS NULL
), batch AS (
    INSERT INTO batch_outcomes AS b (message_id, outcomes, delivered, dead, complaints)
    SELECT message_id, count(*) FILTER (WHERE type <> 'complained' AND stage <> 'report'),
           count(*) FILTER (WHERE type = 'delivered'),
           count(*) FILTER (WHERE (event_id IN (SELECT unnest(:dead_event_ids::text[]))) IS TRUE),
           count(*) FILTER (WHERE type = 'complained')
    FROM kept
    WHERE type IN ('delivered', 'bounced', 'failed', 'complained')
      AND (message_id IN (SELECT message_id FROM large)) IS TRUE -- hashed; a join would compare every row with every other
    GROUP BY 1 ORDER BY 1
    ON CONFLICT (message_id) DO UPDATE
    SET outcomes = b.outcomes + excluded.outcomes, delivered = b.delivered + excluded.delivered,
        dead = b.dead + excluded.dead, complaints = b.complaints + excluded.complaints
    RETURNING *
)
SELECT array(SELECT (domain, type, count(*)) FROM fresh GROUP BY domain, type) AS fresh,
       array(SELECT event_id FROM suppressed) AS suppressed,
       (SELECT count(*) FROM queued) AS queued,
       array(SELECT (b.message_id, l.domain, b.outcomes, b.delivered, b.dead, b.complaints,
                     d.guard_enabled, d.guard_dead_percent, d.guard_complaint_percent)
             FROM batch b JOIN large l USING (message_id) JOIN domains d ON d.domain = l.domain
             WHERE b.tripped_at IS NULL) AS watched;

-- name: delete_old_anonymous_events!
DELETE FROM anonymous_events WHERE at < :before;

-- name: list_stats_partitions
-- `detaching`: a detachment that was interrupted; it must be finished before another one can begin.
SELECT c.relname AS name, i.inhdetachpending AS detaching FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'stats'::regclass ORDER BY c.relname;

-- name: list_detached_partitions
-- Those that a process detached and did not drop.
SELECT c.relname AS name FROM pg_class c JOIN pg_class parent ON parent.oid = 'stats'::regclass
WHERE c.relnamespace = parent.relnamespace AND c.relkind = 'r' AND c.relname ~ '^stats_[0-9]{8}$'
  AND NOT c.relispartition
ORDER BY c.relname;

-- name: try_lock_retention$
-- One process at a time; a session lock, for a concurrent detachment cannot run in a transaction.
SELECT pg_try_advisory_lock(1802006124);

-- name: unlock_retention$
SELECT pg_advisory_unlock(1802006124);
