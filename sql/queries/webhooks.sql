-- Webhook endpoints as an administrator sees and changes them, their attempts, and replays.

-- name: insert_webhook_endpoint^
-- None where there is no such domain.
INSERT INTO webhook_endpoints (id, domain, url, types, max_batch, secret)
SELECT :id, domain, :url, :types::text[], :max_batch, :secret FROM domains WHERE domain = :domain
RETURNING *;

-- name: count_webhook_endpoints$
SELECT count(*) FROM webhook_endpoints WHERE domain = :domain;

-- name: list_webhook_endpoints
-- Of a domain; of all domains where it is empty.
SELECT * FROM webhook_endpoints WHERE :domain = '' OR domain = :domain ORDER BY domain, created_at, id LIMIT :take;

-- name: find_webhook_endpoint^
-- And how many events wait for it, to at most :most.
SELECT e.*, (SELECT count(*) FROM (SELECT FROM webhook_outbox o WHERE o.endpoint_id = e.id LIMIT :most) w) AS waiting
FROM webhook_endpoints e WHERE e.id = :id;

-- name: rotate_webhook_secret^
UPDATE webhook_endpoints SET previous_secret = secret, previous_until = now() + :valid::interval, secret = :secret
WHERE id = :id RETURNING *;

-- name: enable_webhook_endpoint^
-- What waits for it is due now, as if it had never been tried.
WITH due AS (
    UPDATE webhook_outbox SET attempts = 0, next_attempt_at = now()
    WHERE endpoint_id = :id AND EXISTS (SELECT FROM webhook_endpoints WHERE id = :id AND NOT enabled)
)
UPDATE webhook_endpoints
SET enabled = true, disabled_at = NULL, disabled_reason = '',
    failing_since = CASE WHEN enabled THEN failing_since END, failures = CASE WHEN enabled THEN failures ELSE 0 END,
    rest_until = CASE WHEN enabled THEN rest_until ELSE '-infinity' END
WHERE id = :id RETURNING *;

-- name: disable_webhook_endpoint^
UPDATE webhook_endpoints SET enabled = false, disabled_at = coalesce(disabled_at, now()), disabled_reason =
    CASE WHEN enabled THEN :reason ELSE disabled_reason END
WHERE id = :id RETURNING *;

-- name: delete_webhook_endpoint$
WITH waiting AS (DELETE FROM webhook_outbox WHERE endpoint_id = :id)
DELETE FROM webhook_endpoints WHERE id = :id RETURNING id;

-- name: list_webhook_attempts
-- The newest first.
SELECT endpoint_id, at, request_id, type, events, status, problem, milliseconds, answer FROM webhook_attempts
WHERE endpoint_id = :endpoint_id ORDER BY id DESC LIMIT :take;

-- name: queue_webhook_event$
-- For the endpoints of the domain that want it, but for :but_not. Returns how many get it.
WITH queued AS (
    INSERT INTO webhook_outbox (endpoint_id, event_id, type, at, data)
    SELECT id, :event_id, :type, :at, :data::jsonb FROM webhook_endpoints
    WHERE domain = :domain AND enabled AND id <> :but_not AND (types = '{}' OR :type = ANY(types))
    RETURNING id
)
SELECT count(*) FROM queued;

-- name: queue_webhook_test!
INSERT INTO webhook_outbox (endpoint_id, event_id, type, at, data)
VALUES (:endpoint_id, :event_id, 'endpoint.test', now(), :data::jsonb);

-- name: insert_webhook_replay$
-- Returns the number of events that it will queue again.
WITH replay AS (
    INSERT INTO webhook_replays (endpoint_id, next_at, to_time) VALUES (:endpoint_id, :from_time, :to_time)
)
SELECT count(*) FROM stats s
WHERE s.domain = :domain AND s.at >= :from_time AND s.at < :to_time
  AND (:types::text[] = '{}' OR 'delivery.' || CASE s.type WHEN 'error' THEN 'deferred' ELSE s.type END = ANY(:types));
