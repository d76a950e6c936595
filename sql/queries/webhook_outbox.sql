-- The outbox of webhooks: leases of endpoints, their due events, and what became of the requests.

-- name: lease_webhook_endpoints
-- Those that are on, do not rest, have due events or a replay, and are not leased by another process; but for :busy, at
-- which this process works. :now stands for the database's clock where it is given.
UPDATE webhook_endpoints SET leased_by = :owner, leased_until = now() + :lease::interval
WHERE id = ANY(ARRAY(
    SELECT e.id FROM webhook_endpoints e
    WHERE e.enabled AND e.rest_until <= coalesce(:now::timestamptz, now()) AND e.id <> ALL(:busy::text[])
      AND (e.leased_until < now() OR e.leased_by = :owner)
      AND ((SELECT true FROM webhook_outbox o
            WHERE o.endpoint_id = e.id AND NOT o.replay AND o.next_attempt_at <= coalesce(:now::timestamptz, now()) LIMIT 1)
           OR (SELECT true FROM webhook_outbox o
               WHERE o.endpoint_id = e.id AND o.replay AND o.next_attempt_at <= coalesce(:now::timestamptz, now()) LIMIT 1)
           OR (SELECT true FROM webhook_replays r WHERE r.endpoint_id = e.id LIMIT 1))
    ORDER BY e.leased_until LIMIT :page FOR UPDATE SKIP LOCKED))
RETURNING *;

-- name: renew_webhook_leases
-- Returns the endpoints that this process still has, and that are still on.
UPDATE webhook_endpoints SET leased_until = now() + :lease::interval
WHERE id = ANY(:ids::text[]) AND leased_by = :owner AND enabled RETURNING *;

-- name: release_webhook_leases!
UPDATE webhook_endpoints SET leased_until = '-infinity', leased_by = '' WHERE leased_by = :owner;

-- name: release_lost_webhook_leases!
-- Those taken or renewed before that time.
UPDATE webhook_endpoints SET leased_until = '-infinity', leased_by = ''
WHERE leased_by <> '' AND leased_until < :before::timestamptz + :lease::interval;

-- name: list_due_webhook_events
-- Of one endpoint, but for :busy: new events and retries before replayed ones, each the oldest due first.
(SELECT id, event_id, type, at, data, attempts, stored_at, replay FROM webhook_outbox
 WHERE endpoint_id = :endpoint_id AND NOT replay AND next_attempt_at <= coalesce(:now::timestamptz, now())
   AND id <> ALL(:busy::bigint[])
 ORDER BY next_attempt_at LIMIT :page)
UNION ALL
(SELECT id, event_id, type, at, data, attempts, stored_at, replay FROM webhook_outbox
 WHERE endpoint_id = :endpoint_id AND replay AND next_attempt_at <= coalesce(:now::timestamptz, now())
   AND id <> ALL(:busy::bigint[])
 ORDER BY next_attempt_at LIMIT :page)
LIMIT :page;

-- name: delete_webhook_events!
-- Those that an endpoint has, and those given up.
DELETE FROM webhook_outbox WHERE id = ANY(:ids::bigint[]);

-- name: reschedule_webhook_events!
UPDATE webhook_outbox o SET attempts = d.attempts, next_attempt_at = d.next_attempt_at
FROM unnest(:ids::bigint[], :attempts::integer[], :next_attempts::timestamptz[]) AS d(id, attempts, next_attempt_at)
WHERE o.id = ANY(:ids::bigint[]) AND o.id + 0 = d.id;

-- name: insert_webhook_attempts!
INSERT INTO webhook_attempts (endpoint_id, at, request_id, type, events, status, problem, milliseconds, answer)
SELECT a.* FROM unnest(:endpoint_ids::text[], :ats::timestamptz[], :request_ids::text[], :types::text[],
                       :events::integer[], :statuses::integer[], :problems::text[], :milliseconds::integer[],
                       :answers::text[])
       AS a(endpoint_id, at, request_id, type, events, status, problem, milliseconds, answer)
WHERE EXISTS (SELECT FROM webhook_endpoints e WHERE e.id = a.endpoint_id); -- one may have been removed

-- name: delete_old_webhook_attempts!
-- All but the newest :keep of each endpoint.
DELETE FROM webhook_attempts a USING unnest(:endpoint_ids::text[]) AS e(id)
WHERE a.endpoint_id = e.id
  AND a.id <= (SELECT b.id FROM webhook_attempts b WHERE b.endpoint_id = e.id ORDER BY b.id DESC OFFSET :keep LIMIT 1);

-- name: update_webhook_endpoints
-- By the results of requests. Switches off those that answered 410, and those without a success since :give_up before the
-- failure. A success within a second of the last one is not written. Returns those that it switched off.
WITH result AS (
    SELECT * FROM unnest(:ids::text[], :ats::timestamptz[], :succeeded::boolean[], :failed::boolean[], :gone::boolean[],
                         :rests::timestamptz[], :given_up::integer[])
    AS r(id, at, succeeded, failed, gone, rest_until, given_up)
)
UPDATE webhook_endpoints e
SET last_success_at = CASE WHEN r.succeeded THEN r.at ELSE e.last_success_at END,
    failing_since = CASE WHEN r.failed AND NOT r.succeeded THEN coalesce(e.failing_since, r.at) END,
    failures = CASE WHEN r.failed AND NOT r.succeeded THEN e.failures + 1 ELSE 0 END,
    rest_until = coalesce(r.rest_until, e.rest_until),
    given_up = e.given_up + r.given_up,
    enabled = e.enabled AND NOT x.off, disabled_at = CASE WHEN x.off THEN coalesce(e.disabled_at, r.at) ELSE e.disabled_at END,
    disabled_reason = CASE WHEN NOT x.off OR NOT e.enabled THEN e.disabled_reason
                           WHEN r.gone THEN 'it answered 410 Gone' ELSE :reason END
FROM result r, LATERAL (
    SELECT r.gone OR (r.failed AND NOT r.succeeded AND coalesce(f.failing_since <= r.at - :give_up::interval, false)) AS off
    FROM webhook_endpoints f WHERE f.id = r.id) x
WHERE e.id = r.id
  AND (r.failed OR r.gone OR r.given_up > 0 OR e.failures > 0 OR e.failing_since IS NOT NULL
       OR coalesce(e.last_success_at < r.at - interval '1 second', true))
RETURNING e.id, e.domain, e.url, e.disabled_at, e.disabled_reason, x.off AND e.disabled_at = r.at AS disabled;

-- name: find_webhook_replay^
-- The first one of the endpoint, locked.
SELECT id, next_at, next_event_id, to_time FROM webhook_replays
WHERE endpoint_id = :endpoint_id ORDER BY id LIMIT 1 FOR UPDATE;

-- name: count_replayed_webhook_events$
SELECT count(*) FROM (SELECT FROM webhook_outbox WHERE endpoint_id = :endpoint_id AND replay LIMIT :most) r;

-- name: queue_replayed_webhook_events^
-- The next :page events of the domain after a place, in the order of time; those that the endpoint wants are queued.
-- Returns the last place, or none.
WITH page AS (
    SELECT s.* FROM stats s
    WHERE s.domain = (SELECT domain FROM webhook_endpoints WHERE id = :endpoint_id)
      AND s.at >= :next_at AND s.at < :to_time AND (s.at, s.event_id) > (:next_at, :next_event_id)
    ORDER BY s.at, s.event_id LIMIT :page
), queued AS (
    INSERT INTO webhook_outbox (endpoint_id, event_id, type, at, data, replay)
    SELECT e.id, p.event_id, n.name, p.at, to_jsonb(p), true
    FROM page p CROSS JOIN webhook_endpoints e,
         LATERAL (SELECT 'delivery.' || CASE p.type WHEN 'error' THEN 'deferred' ELSE p.type END AS name) n
    WHERE e.id = :endpoint_id AND (e.types = '{}' OR n.name = ANY(e.types))
)
SELECT at, event_id FROM page ORDER BY at DESC, event_id DESC LIMIT 1;

-- name: update_webhook_replay!
UPDATE webhook_replays SET next_at = :next_at, next_event_id = :next_event_id WHERE id = :id;

-- name: delete_webhook_replay!
DELETE FROM webhook_replays WHERE id = :id;

-- name: delete_lost_webhook_events!
-- Of endpoints that are removed; those that a page of events queued at the same moment.
DELETE FROM webhook_outbox o WHERE NOT EXISTS (SELECT FROM webhook_endpoints e WHERE e.id = o.endpoint_id);

-- name: give_up_old_webhook_events
-- Of endpoints that have been off for :age. Returns how many of which endpoint.
WITH old AS (
    DELETE FROM webhook_outbox o USING webhook_endpoints e
    WHERE e.id = o.endpoint_id AND NOT e.enabled AND e.disabled_at < now() - :age::interval RETURNING e.id
), counted AS (
    SELECT id, count(*) AS count FROM old GROUP BY id
)
UPDATE webhook_endpoints e SET given_up = e.given_up + c.count FROM counted c WHERE e.id = c.id
RETURNING e.id, e.domain, c.count;

-- name: count_webhook_events^
-- For the metrics: what waits, to at most :most; how long the oldest due one of an endpoint that is on has waited; the
-- endpoints that are on, failing, and off.
SELECT (SELECT count(*) FROM (SELECT FROM webhook_outbox LIMIT :most) w) AS waiting,
       coalesce(extract(epoch FROM now() - (
           SELECT min(o.next_attempt_at) FROM webhook_endpoints e, LATERAL (
               SELECT next_attempt_at FROM webhook_outbox WHERE endpoint_id = e.id AND NOT replay
               ORDER BY next_attempt_at LIMIT 1) o
           WHERE e.enabled AND o.next_attempt_at <= now())), 0)::float8 AS overdue_seconds,
       (SELECT count(*) FROM webhook_endpoints WHERE enabled AND failing_since IS NULL) AS working,
       (SELECT count(*) FROM webhook_endpoints WHERE enabled AND failing_since IS NOT NULL) AS failing,
       (SELECT count(*) FROM webhook_endpoints WHERE NOT enabled) AS disabled,
       (SELECT count(*) FROM record_checks WHERE broken <> '{}') AS broken_domains;
