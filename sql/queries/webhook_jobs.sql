-- What happens outside the events of the statistics: batches that are finished, published records that are broken.

-- name: list_finished_batches
-- Of the :page batches that are due for a look: marks those as finished none of whose deliveries waits and whose outcomes
-- are all stored (or, where some are missing, :patience after the last delivery left the queue), and returns the counts.
-- Of the others it sets the time of the next look. A report after the delivery does not change its outcome.
WITH look AS MATERIALIZED (
    SELECT message_id, domain, empty_since FROM webhook_batches
    WHERE finished_at IS NULL AND check_at <= now() ORDER BY check_at LIMIT :page FOR UPDATE SKIP LOCKED
), state AS MATERIALIZED (
    SELECT l.*, m.tag, m.accepted_count, m.rejected_count,
           (SELECT true FROM sending_pool_emails p WHERE p.message_id = l.message_id LIMIT 1) IS NULL AS empty
    FROM look l JOIN messages m USING (message_id)
), counted AS MATERIALIZED (
    SELECT s.*, c.* FROM state s, LATERAL (
        SELECT count(*) FILTER (WHERE type = 'delivered') AS delivered, count(*) FILTER (WHERE type = 'bounced') AS bounced,
               count(*) FILTER (WHERE type = 'failed') AS failed, count(*) FILTER (WHERE type = 'rejected') AS rejected
        FROM (SELECT DISTINCT ON (delivery_id) type FROM stats
              WHERE message_id = s.message_id AND type IN ('rejected', 'delivered', 'bounced', 'failed')
              ORDER BY delivery_id, stage = 'report', at) outcome
        WHERE s.empty) c
), finished AS (
    SELECT *, now() AS at FROM counted
    WHERE empty AND (delivered + bounced + failed + rejected >= accepted_count
                     OR coalesce(empty_since < now() - :patience::interval, false))
), updated AS (
    UPDATE webhook_batches b
    SET finished_at = f.at, empty_since = CASE WHEN s.empty THEN coalesce(b.empty_since, now()) END,
        check_at = now() + CASE WHEN s.empty THEN interval '1 second' ELSE interval '2 seconds' END
    FROM state s LEFT JOIN finished f USING (message_id)
    WHERE b.message_id = s.message_id
)
SELECT message_id, domain, tag, at, delivered, bounced, failed, rejected + rejected_count AS rejected FROM finished;

-- name: lease_record_checks
-- The domains that are due for their check, which other processes leave alone for :lease. A new domain is checked after
-- :first. `new`: no check has counted yet, and the domain is younger than :new_for.
WITH new AS (
    INSERT INTO record_checks (domain, check_at) SELECT domain, now() + :first::interval FROM domains
    WHERE domain NOT IN (SELECT domain FROM record_checks) ON CONFLICT DO NOTHING
)
UPDATE record_checks SET check_at = now() + :lease::interval
WHERE domain = ANY(ARRAY(SELECT domain FROM record_checks WHERE check_at <= now() ORDER BY check_at LIMIT :page
                         FOR UPDATE SKIP LOCKED))
RETURNING domain, broken, checked_at IS NULL AND (
    SELECT d.created_at > now() - :new_for::interval FROM domains d WHERE d.domain = record_checks.domain) AS new;

-- name: retry_record_check!
UPDATE record_checks SET check_at = now() + :next::interval WHERE domain = :domain;

-- name: update_record_check!
UPDATE record_checks SET checked_at = now(), check_at = now() + :next::interval, broken = :broken::text[]
WHERE domain = :domain;
