-- Cancelled mail: marked first; later its events are published and its rows deleted.

-- name: mark_batch_cancelled$
UPDATE messages SET cancelled_at = coalesce(cancelled_at, now()) WHERE message_id = :message_id RETURNING message_id;

-- name: mark_cancelled
-- Of a batch, or one delivery. Locked in the same order as outcomes lock them. Returns the state of each newly marked
-- row.
WITH marked AS (
    SELECT id FROM sending_pool_emails
    WHERE (message_id = :message_id OR id = :delivery_id) AND cancelled_at IS NULL
    ORDER BY id FOR UPDATE
)
UPDATE sending_pool_emails p
SET cancelled_at = now(), next_attempt_at = CASE WHEN p.state = 'sending' THEN p.next_attempt_at ELSE 'infinity' END
FROM marked WHERE p.id = marked.id
RETURNING p.state;

-- name: lock_cancelled
-- Those that are not claimed. The process that locks a row ends it; others skip it.
SELECT id, domain, message_id, email, attempts, cancelled_at FROM sending_pool_emails
WHERE cancelled_at IS NOT NULL AND state IN ('to_validate', 'scheduled')
ORDER BY id LIMIT :page
FOR UPDATE SKIP LOCKED;
