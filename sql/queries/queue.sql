-- The queue of deliveries: claims, settlements and reclaims, a page at a time.

-- name: claim_to_validate
-- Oldest due first, fair between domains: `waiting` finds the domains that have rows, with one index probe for each;
-- `ready` are those with work; each of them offers four times its share, and the page takes one row of each in turn.
-- An array, not a join: a batch fills the table faster than its statistics are updated, and a join planned for an empty
-- table compares every row with every other.
WITH RECURSIVE waiting AS (
    (SELECT domain FROM sending_pool_emails WHERE state = 'to_validate' ORDER BY domain LIMIT 1)
    UNION ALL
    SELECT (SELECT p.domain FROM sending_pool_emails p
            WHERE p.state = 'to_validate' AND p.domain > w.domain ORDER BY p.domain LIMIT 1)
    FROM waiting w WHERE w.domain IS NOT NULL
), ready AS MATERIALIZED (
    SELECT domain FROM waiting WHERE domain IS NOT NULL
), offered AS (
    SELECT o.id, o.next_attempt_at, o.turn
    FROM ready r, LATERAL (
        SELECT p.id, p.next_attempt_at, row_number() OVER (ORDER BY p.next_attempt_at) AS turn
        FROM (SELECT id, next_attempt_at FROM sending_pool_emails
              WHERE state = 'to_validate' AND domain = r.domain AND cancelled_at IS NULL
              ORDER BY next_attempt_at
              LIMIT least(:page::bigint, 1 + 4 * :page::bigint / (SELECT count(*) FROM ready))) p
    ) o
), picked AS (
    SELECT p.id FROM sending_pool_emails p
    WHERE p.id = ANY(ARRAY(SELECT id FROM offered ORDER BY turn, next_attempt_at LIMIT :page::bigint))
      AND p.state = 'to_validate' AND p.cancelled_at IS NULL
    FOR UPDATE SKIP LOCKED
)
UPDATE sending_pool_emails p SET state = 'validating', claimed_at = now()
FROM picked WHERE p.id = picked.id
RETURNING p.id, p.message_id, p.domain, p.email, p.created_at;

-- name: settle_validated!
UPDATE sending_pool_emails SET state = 'scheduled', claimed_at = NULL
WHERE id = ANY(:ids::bigint[]) AND state = 'validating';

-- name: delete_validated!
DELETE FROM sending_pool_emails WHERE id = ANY(:ids::bigint[]) AND state = 'validating';

-- name: release_validating!
UPDATE sending_pool_emails SET state = 'to_validate', claimed_at = NULL
WHERE id = ANY(:ids::bigint[]) AND state = 'validating';

-- name: reclaim_validating!
UPDATE sending_pool_emails SET state = 'to_validate', claimed_at = NULL
WHERE state = 'validating' AND claimed_at < now() - :lease::interval;

-- name: claim_due
-- As claim_to_validate, for due rows. A paused row becomes held (next_attempt_at 'infinity') instead of claimed; the
-- pause is locked with it, so that its end finds all rows that it holds, and it holds none afterwards.
WITH RECURSIVE waiting AS (
    (SELECT domain FROM sending_pool_emails WHERE state = 'scheduled' ORDER BY domain LIMIT 1)
    UNION ALL
    SELECT (SELECT p.domain FROM sending_pool_emails p
            WHERE p.state = 'scheduled' AND p.domain > w.domain ORDER BY p.domain LIMIT 1)
    FROM waiting w WHERE w.domain IS NOT NULL
), ready AS MATERIALIZED (
    SELECT w.domain FROM waiting w
    WHERE EXISTS (SELECT FROM sending_pool_emails p
                  WHERE p.state = 'scheduled' AND p.domain = w.domain AND p.next_attempt_at <= now())
), offered AS (
    SELECT o.id, o.next_attempt_at, o.turn
    FROM ready r, LATERAL (
        SELECT p.id, p.next_attempt_at, row_number() OVER (ORDER BY p.next_attempt_at) AS turn
        FROM (SELECT id, next_attempt_at FROM sending_pool_emails
              WHERE state = 'scheduled' AND domain = r.domain AND next_attempt_at <= now() AND cancelled_at IS NULL
              ORDER BY next_attempt_at
              LIMIT least(:page::bigint, 1 + 4 * :page::bigint / (SELECT count(*) FROM ready))) p
    ) o
), picked AS (
    SELECT p.id, p.message_id, p.domain, lower(split_part(p.email, '@', -1)) AS destination FROM sending_pool_emails p
    WHERE p.id = ANY(ARRAY(SELECT id FROM offered ORDER BY turn, next_attempt_at LIMIT :page::bigint))
      AND p.state = 'scheduled' AND p.cancelled_at IS NULL
    FOR UPDATE SKIP LOCKED
), pause AS MATERIALIZED (
    SELECT scope, spelling FROM pauses
    WHERE ended_at IS NULL AND (scope, spelling) IN (
        SELECT 'batch', message_id FROM picked UNION SELECT 'domain', domain FROM picked
        UNION SELECT 'destination', destination FROM picked)
    FOR SHARE
), checked AS MATERIALIZED (
    SELECT id, EXISTS (SELECT FROM pause WHERE (scope, spelling) IN
                       (('batch', message_id), ('domain', domain), ('destination', destination))) AS held
    FROM picked
)
UPDATE sending_pool_emails p
SET state = CASE WHEN c.held THEN 'scheduled' ELSE 'sending' END,
    claimed_at = CASE WHEN c.held THEN NULL ELSE now() END,
    next_attempt_at = CASE WHEN c.held THEN 'infinity' ELSE p.next_attempt_at END
FROM checked c WHERE p.id = c.id
RETURNING p.id, p.message_id, p.domain, p.email, p.fields, p.opens, p.links, p.secret, p.attempts, p.turn, p.due_at,
          c.held;

-- name: release_sending!
-- Back to the queue as if never claimed: building or publishing the page failed, no attempt was made.
UPDATE sending_pool_emails SET state = 'scheduled', claimed_at = NULL, next_attempt_at = now() + :delay::interval
WHERE id = ANY(:ids::bigint[]) AND state = 'sending';

-- name: return_throttled
-- The sender returned these unsent: the envelopes are gone, no attempt was made.
UPDATE sending_pool_emails p
SET state = 'scheduled', claimed_at = NULL, turn = p.turn + 1,
    next_attempt_at = now() + make_interval(secs => d.seconds), last_text = 'throttled: its destination has no free connection'
FROM unnest(:ids::bigint[], :turns::integer[], :seconds::float8[]) AS d(id, turn, seconds)
WHERE p.id = d.id AND p.turn = d.turn AND p.state = 'sending'
RETURNING p.id, p.domain, lower(split_part(p.email, '@', -1)) AS destination;

-- name: delay_throttled!
-- Delays due mail for throttled destinations, among the next :window rows of its domain, until the destination should
-- have capacity. Rows keep their order; :behind rows were delayed before them.
WITH throttled AS (
    SELECT * FROM unnest(:domains::text[], :destinations::text[], :seconds::float8[], :rates::float8[],
                         :spreads::float8[]) AS c(domain, destination, seconds, rate, spread)
), next AS (
    SELECT p.id, d.domain, p.next_attempt_at, lower(split_part(p.email, '@', -1)) AS destination
    FROM (SELECT DISTINCT domain FROM throttled) d, LATERAL (
        SELECT id, email, next_attempt_at FROM sending_pool_emails
        WHERE state = 'scheduled' AND domain = d.domain AND next_attempt_at <= now() AND cancelled_at IS NULL
        ORDER BY next_attempt_at LIMIT :window::bigint) p
), locked AS (
    SELECT p.id, p.domain, lower(split_part(p.email, '@', -1)) AS destination, p.next_attempt_at
    FROM sending_pool_emails p
    WHERE p.id = ANY(ARRAY(SELECT n.id FROM next n JOIN throttled USING (domain, destination)))
      AND p.state = 'scheduled' AND p.next_attempt_at <= now()
    FOR UPDATE SKIP LOCKED
), placed AS (
    SELECT l.id, c.seconds, c.rate, c.spread,
           :behind::bigint + row_number() OVER (PARTITION BY l.domain, l.destination ORDER BY l.next_attempt_at) AS place
    FROM locked l JOIN throttled c USING (domain, destination)
)
UPDATE sending_pool_emails p
SET next_attempt_at = now() + make_interval(secs => k.seconds + least(k.place / k.rate, k.spread)),
    last_text = 'throttled: its destination has no free connection'
FROM placed k WHERE p.id = k.id;

-- name: read_clock$
-- The clock of `claimed_at`.
SELECT now();

-- name: reclaim_sending!
UPDATE sending_pool_emails SET state = 'scheduled', claimed_at = NULL, turn = turn + 1
WHERE state = 'sending' AND claimed_at < :claimed_before;

-- name: find_sending
-- The rows of a page of outcomes, locked: attempts and due time decide whether and when a delivery is retried.
SELECT id, message_id, domain, email, attempts, due_at, answer_code, answer_text, now() AS found_at
FROM sending_pool_emails
WHERE id = ANY(:ids::bigint[]) ORDER BY id FOR UPDATE;

-- name: delete_deliveries!
DELETE FROM sending_pool_emails WHERE id = ANY(:ids::bigint[]);

-- name: reschedule_deliveries!
UPDATE sending_pool_emails p
SET state = 'scheduled', claimed_at = NULL, attempts = d.attempts,
    next_attempt_at = d.next_attempt_at,
    last_code = d.last_code, last_stage = d.last_stage, last_host = d.last_host, last_text = d.last_text,
    answer_code = CASE WHEN d.last_code >= 400 THEN d.last_code ELSE p.answer_code END,
    answer_text = CASE WHEN d.last_code >= 400 THEN d.last_text ELSE p.answer_text END
FROM unnest(:ids::bigint[], :attempts::integer[], :next_attempts::timestamptz[], :codes::integer[], :stages::text[],
            :hosts::text[], :texts::text[])
     AS d(id, attempts, next_attempt_at, last_code, last_stage, last_host, last_text)
WHERE p.id = d.id;

-- name: find_delivery^
-- Waiting or ended: the queue first, else the statistics.
SELECT domain, message_id, email FROM (
    SELECT 1 AS place, domain, message_id, email, now() AS at FROM sending_pool_emails WHERE id = :delivery_id
    UNION ALL
    (SELECT 2, domain, message_id, email, at FROM stats
     WHERE delivery_id = :delivery_id AND delivery_id <> 0 AND type = 'accepted' LIMIT 1)
) found ORDER BY place LIMIT 1;
