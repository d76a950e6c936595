-- The queue of deliveries: claims, settlements and reclaims, a page at a time.

-- name: keep_to_indexes^
-- For this transaction. A batch fills the table faster than its statistics are updated, and a plan for a table that
-- seems empty reads and sorts all rows, once for each domain.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);

-- name: claim_to_validate
-- As claim_due, for rows that wait for their check; all of them are due.
WITH RECURSIVE oldest AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY domain, next_attempt_at) AS age
    FROM (SELECT id, domain, next_attempt_at FROM sending_pool_emails
          WHERE state = 'to_validate' AND cancelled_at IS NULL
          ORDER BY domain, next_attempt_at LIMIT :page::bigint) p
), walk AS (
    SELECT 0 AS place, :cursor::text AS domain, false AS wrapped
    WHERE (SELECT count(*) FROM oldest) = :page::bigint
    UNION ALL
    SELECT w.place + 1, next.domain, next.wrapped
    FROM walk w, LATERAL (
        (SELECT domain, w.wrapped FROM sending_pool_emails
         WHERE state = 'to_validate' AND domain > w.domain ORDER BY domain, next_attempt_at LIMIT 1)
        UNION ALL
        (SELECT domain, true FROM sending_pool_emails
         WHERE state = 'to_validate' AND NOT w.wrapped ORDER BY domain, next_attempt_at LIMIT 1)
        LIMIT 1) next
    WHERE w.place < :page::bigint AND (NOT next.wrapped OR next.domain <= :cursor::text)
), ready AS MATERIALIZED (
    SELECT place, domain FROM walk WHERE place > 0
), offered AS MATERIALIZED (
    SELECT o.id, o.turn, r.place, r.domain
    FROM ready r, LATERAL (
        SELECT p.id, row_number() OVER (ORDER BY p.next_attempt_at) AS turn
        FROM (SELECT id, next_attempt_at FROM sending_pool_emails
              WHERE state = 'to_validate' AND domain = r.domain AND cancelled_at IS NULL
              ORDER BY next_attempt_at
              LIMIT least(:page::bigint, 1 + 2 * :page::bigint / (SELECT count(*) FROM ready))) p
    ) o
    ORDER BY o.turn, r.place LIMIT :page::bigint
), chosen AS (
    SELECT id FROM (SELECT id, turn, place FROM offered UNION ALL SELECT id, 1 + :page::bigint, age FROM oldest) c
    GROUP BY id ORDER BY min(turn), min(place) LIMIT :page::bigint
), picked AS MATERIALIZED (
    SELECT id FROM sending_pool_emails
    WHERE id = ANY(ARRAY(SELECT id FROM chosen))
      AND CASE WHEN cancelled_at IS NULL THEN state = 'to_validate' ELSE false END -- no index can answer this
    FOR UPDATE SKIP LOCKED
)
UPDATE sending_pool_emails SET state = 'validating', claimed_at = now()
WHERE id = ANY(ARRAY(SELECT id FROM picked))
RETURNING id, message_id, domain, email, created_at,
          coalesce(CASE WHEN (SELECT count(*) FROM ready) = :page::bigint
                        THEN (SELECT domain FROM ready ORDER BY place DESC LIMIT 1)
                        ELSE (SELECT domain FROM offered ORDER BY turn DESC, place DESC LIMIT 1) END,
                   :cursor::text) AS cursor;

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
-- When fewer rows are due than the page has places, `oldest` is the page. Otherwise `walk` visits the domains that have
-- rows, with one index probe for each, from the one after :cursor until a page of them has work, or all or two pages of
-- them are visited. Each domain with work (`ready`) gets one place, then each a second one, and so on; `oldest` fills the
-- places that are left. The walk of the next claim begins after `cursor`.
-- A paused row becomes held (next_attempt_at 'infinity') instead of claimed; the pause is locked with it, so that its end
-- finds all rows that it holds, and it holds none afterwards.
-- Arrays, not joins: a join planned for an empty table compares every row with every other.
WITH RECURSIVE oldest AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY next_attempt_at) AS age
    FROM (SELECT id, next_attempt_at FROM sending_pool_emails
          WHERE next_attempt_at <= now() -- and the predicate of the index sending_pool_oldest, word for word
            AND CASE WHEN cancelled_at IS NULL AND next_attempt_at < 'infinity' THEN state = 'scheduled' ELSE false END
          ORDER BY next_attempt_at LIMIT :page::bigint) p
), walk AS (
    SELECT 0 AS place, :cursor::text AS domain, false AS wrapped, false AS due, 0 AS ready
    WHERE (SELECT count(*) FROM oldest) = :page::bigint
    UNION ALL
    SELECT w.place + 1, next.domain, next.wrapped, next.due, w.ready + next.due::integer
    FROM walk w, LATERAL (
        (SELECT domain, w.wrapped, next_attempt_at <= now() AS due FROM sending_pool_emails
         WHERE state = 'scheduled' AND domain > w.domain ORDER BY domain, next_attempt_at LIMIT 1)
        UNION ALL
        (SELECT domain, true, next_attempt_at <= now() FROM sending_pool_emails
         WHERE state = 'scheduled' AND NOT w.wrapped ORDER BY domain, next_attempt_at LIMIT 1)
        LIMIT 1) next
    WHERE w.ready < :page::bigint AND w.place < 2 * :page::bigint
      AND (NOT next.wrapped OR next.domain <= :cursor::text)
), ready AS MATERIALIZED (
    SELECT place, domain FROM walk WHERE due
), offered AS MATERIALIZED (
    SELECT o.id, o.turn, r.place, r.domain
    FROM ready r, LATERAL (
        SELECT p.id, row_number() OVER (ORDER BY p.next_attempt_at) AS turn
        FROM (SELECT id, next_attempt_at FROM sending_pool_emails
              WHERE state = 'scheduled' AND domain = r.domain AND next_attempt_at <= now() AND cancelled_at IS NULL
              ORDER BY next_attempt_at
              LIMIT least(:page::bigint, 1 + 2 * :page::bigint / (SELECT count(*) FROM ready))) p
    ) o
    ORDER BY o.turn, r.place LIMIT :page::bigint
), chosen AS (
    SELECT id FROM (SELECT id, turn, place FROM offered UNION ALL SELECT id, 1 + :page::bigint, age FROM oldest) c
    GROUP BY id ORDER BY min(turn), min(place) LIMIT :page::bigint
), picked AS MATERIALIZED (
    SELECT id, message_id, domain, lower(split_part(email, '@', -1)) AS destination FROM sending_pool_emails
    WHERE id = ANY(ARRAY(SELECT id FROM chosen))
      AND CASE WHEN cancelled_at IS NULL THEN state = 'scheduled' ELSE false END -- no index can answer this
    FOR UPDATE SKIP LOCKED
), pause AS MATERIALIZED (
    SELECT scope, spelling FROM pauses
    WHERE ended_at IS NULL AND (scope, spelling) IN (
        SELECT 'batch', message_id FROM picked UNION SELECT 'domain', domain FROM picked
        UNION SELECT 'destination', destination FROM picked)
    FOR SHARE
), held AS MATERIALIZED (
    SELECT id FROM picked
    WHERE EXISTS (SELECT FROM pause WHERE (scope, spelling) IN
                  (('batch', message_id), ('domain', domain), ('destination', destination)))
)
UPDATE sending_pool_emails
SET state = CASE WHEN id = ANY(ARRAY(SELECT id FROM held)) THEN 'scheduled' ELSE 'sending' END,
    claimed_at = CASE WHEN id = ANY(ARRAY(SELECT id FROM held)) THEN NULL ELSE now() END,
    next_attempt_at = CASE WHEN id = ANY(ARRAY(SELECT id FROM held)) THEN 'infinity' ELSE next_attempt_at END
WHERE id = ANY(ARRAY(SELECT id FROM picked))
RETURNING id, message_id, domain, email, fields, opens, links, secret, attempts, turn, due_at,
          claimed_at IS NULL AS held,
          coalesce(CASE WHEN (SELECT max(place) FROM walk) = 2 * :page::bigint
                             OR (SELECT count(*) FROM ready) = :page::bigint
                        THEN (SELECT domain FROM walk ORDER BY place DESC LIMIT 1)
                        ELSE (SELECT domain FROM offered ORDER BY turn DESC, place DESC LIMIT 1) END,
                   :cursor::text) AS cursor;

-- name: release_sending!
-- Back to the queue as if never claimed: building or publishing the page failed, no attempt was made.
UPDATE sending_pool_emails SET state = 'scheduled', claimed_at = NULL, next_attempt_at = now() + :delay::interval
WHERE id = ANY(:ids::bigint[]) AND state = 'sending';

-- name: return_throttled
-- The sender returned these unsent: the envelopes are gone, no attempt was made.
-- `+ 0`: only the array finds the rows. The join would, with outdated statistics, by reading the whole table.
UPDATE sending_pool_emails p
SET state = 'scheduled', claimed_at = NULL, turn = p.turn + 1,
    next_attempt_at = now() + make_interval(secs => d.seconds),
    last_text = coalesce(nullif(d.reason, ''), 'throttled: its destination has no free connection')
FROM unnest(:ids::bigint[], :turns::integer[], :seconds::float8[], :reasons::text[]) AS d(id, turn, seconds, reason)
WHERE p.id = ANY(:ids::bigint[]) AND p.id + 0 = d.id AND p.turn = d.turn AND p.state = 'sending'
RETURNING p.id, p.domain, lower(split_part(p.email, '@', -1)) AS destination;

-- name: delay_throttled!
-- Delays due mail for throttled destinations, among the next :window rows of its domain, until the destination should
-- have capacity. Rows keep their order; :behind rows were delayed before them.
WITH throttled AS (
    SELECT * FROM unnest(:domains::text[], :destinations::text[], :seconds::float8[], :rates::float8[],
                         :spreads::float8[], :reasons::text[]) AS c(domain, destination, seconds, rate, spread, reason)
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
      AND CASE WHEN p.next_attempt_at <= now() THEN p.state = 'scheduled' ELSE false END -- no index can answer this
    FOR UPDATE SKIP LOCKED
), placed AS MATERIALIZED (
    SELECT l.id, c.seconds, c.rate, c.spread, c.reason,
           :behind::bigint + row_number() OVER (PARTITION BY l.domain, l.destination ORDER BY l.next_attempt_at) AS place
    FROM locked l JOIN throttled c USING (domain, destination)
)
-- The time of each row by its position in two sorted arrays, not by a join, as in claim_due.
UPDATE sending_pool_emails
SET next_attempt_at = (ARRAY(SELECT now() + make_interval(secs => seconds + least(place / rate, spread))
                             FROM placed ORDER BY id))[width_bucket(id, ARRAY(SELECT id FROM placed ORDER BY id))],
    last_text = (ARRAY(SELECT coalesce(nullif(reason, ''), 'throttled: its destination has no free connection')
                       FROM placed ORDER BY id))[width_bucket(id, ARRAY(SELECT id FROM placed ORDER BY id))]
WHERE id = ANY(ARRAY(SELECT id FROM placed));

-- name: read_clock$
-- The clock of `claimed_at`.
SELECT now();

-- name: date_claims_back!
-- The clock went back. A claim dated by the later clock would outlive its lease.
UPDATE sending_pool_emails SET claimed_at = now()
WHERE state IN ('validating', 'sending') AND claimed_at > now();

-- name: bring_back!
-- The clock went back. Deliveries that a later clock has dated: accepted by it, deferred or throttled. `due` is when each
-- would be due at the latest; a delivery that was never due waits for the time that its sender has chosen.
UPDATE sending_pool_emails p
SET next_attempt_at = d.due,
    due_at = CASE WHEN p.due_at <= p.created_at THEN least(p.due_at, now()) ELSE p.due_at END
FROM (SELECT id, CASE WHEN attempts = 0 AND created_at > now() THEN now()
                      ELSE now() + least(:most::interval, :first::interval * 2 ^ least(greatest(attempts - 1, 0), 30)) END AS due
      FROM sending_pool_emails
      WHERE state IN ('to_validate', 'validating', 'scheduled') AND next_attempt_at > now() AND next_attempt_at < 'infinity'
        AND (attempts > 0 OR due_at <= greatest(now(), created_at))) d
WHERE p.id = d.id AND p.next_attempt_at > d.due;

-- name: seconds_to_next_due$
SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM sending_pool_emails
WHERE CASE WHEN cancelled_at IS NULL AND next_attempt_at < 'infinity' THEN state = 'scheduled' ELSE false END
ORDER BY next_attempt_at LIMIT 1; -- the predicate of the index sending_pool_oldest, word for word

-- name: any_sending$
SELECT EXISTS (SELECT FROM sending_pool_emails WHERE state = 'sending');

-- name: reclaim_sending!
UPDATE sending_pool_emails SET state = 'scheduled', claimed_at = NULL, turn = turn + 1
WHERE state = 'sending' AND claimed_at < :claimed_before;

-- name: release_recent!
-- Claims of a process that is gone, and those of the others of the same time, as release_sending: the requeue count stays,
-- so the stream drops the second envelope of a delivery that has one.
UPDATE sending_pool_emails SET state = 'scheduled', claimed_at = NULL
WHERE state = 'sending' AND claimed_at > :claimed_before::timestamptz - :span::interval AND claimed_at <= :claimed_before;

-- name: hold_presence^
-- 6b616e6e: "kann" in hexadecimal. The lock ends with the session.
SELECT pg_advisory_lock_shared(x'6b616e6e'::integer, :role::integer);

-- name: list_presence
SELECT pid, pid = pg_backend_pid() AS own, now() AS now FROM pg_locks
WHERE locktype = 'advisory' AND classid = x'6b616e6e'::integer::oid AND objid = :role::integer::oid AND objsubid = 2
  AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: find_sending
-- The rows of a page of outcomes, locked: attempts and due time decide whether and when a delivery is retried.
SELECT id, message_id, domain, email, attempts, due_at, answer_code, answer_text, now() AS found_at
FROM sending_pool_emails
WHERE id = ANY(:ids::bigint[]) ORDER BY id FOR UPDATE;

-- name: find_attempts
SELECT id, attempts, turn FROM sending_pool_emails WHERE id = ANY(:ids::bigint[]);

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
WHERE p.id = ANY(:ids::bigint[]) AND p.id + 0 = d.id; -- as in return_throttled

-- name: find_delivery^
-- Waiting or ended: the queue first, else the statistics.
SELECT domain, message_id, email FROM (
    SELECT 1 AS place, domain, message_id, email, now() AS at FROM sending_pool_emails WHERE id = :delivery_id
    UNION ALL
    (SELECT 2, domain, message_id, email, at FROM stats
     WHERE delivery_id = :delivery_id AND delivery_id <> 0 AND type = 'accepted' LIMIT 1)
) found ORDER BY place LIMIT 1;
