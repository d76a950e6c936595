-- What an operator asks while mail is under way, and what can be done about it.

-- name: list_batches
SELECT message_id, domain, template_id, subject, sender_email, created_at, scheduled_at, accepted_count, rejected_count,
       paused_at IS NOT NULL AS paused,
       (SELECT count(*) FROM sending_pool_emails p WHERE p.message_id = m.message_id) AS waiting_count
FROM messages m
WHERE domain = :domain
ORDER BY created_at DESC, message_id
OFFSET :skip LIMIT :take;

-- name: count_batches$
SELECT count(*) FROM messages WHERE domain = :domain;

-- name: find_batch_summary^
SELECT message_id, domain, template_id, subject, sender_email, created_at, scheduled_at, accepted_count, rejected_count,
       paused_at IS NOT NULL AS paused,
       (SELECT count(*) FROM sending_pool_emails p WHERE p.message_id = m.message_id) AS waiting_count
FROM messages m
WHERE message_id = :message_id;

-- name: count_waiting_by_state
SELECT state, count(*) AS count FROM sending_pool_emails WHERE message_id = :message_id GROUP BY state;

-- name: count_events_by_type
SELECT type, count(*) AS count FROM stats WHERE message_id = :message_id GROUP BY type;

-- name: list_waiting
SELECT id, message_id, domain, email, state, due_at, nullif(next_attempt_at, 'infinity') AS next_attempt_at, attempts,
       last_code, last_stage, last_host, last_text
FROM sending_pool_emails
WHERE domain = :domain AND (:message_id = '' OR message_id = :message_id) AND (:email = '' OR email = :email)
  AND (:state = '' OR state = :state)
ORDER BY sending_pool_emails.next_attempt_at, id
OFFSET :skip LIMIT :take;

-- name: count_waiting$
SELECT count(*) FROM sending_pool_emails
WHERE domain = :domain AND (:message_id = '' OR message_id = :message_id) AND (:email = '' OR email = :email)
  AND (:state = '' OR state = :state);

-- name: find_waiting^
SELECT id, message_id, domain, email, state, due_at, nullif(next_attempt_at, 'infinity') AS next_attempt_at, attempts,
       last_code, last_stage, last_host, last_text
FROM sending_pool_emails WHERE id = :delivery_id;

-- name: list_timeline
SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
       enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine
FROM stats WHERE delivery_id = :delivery_id AND delivery_id <> 0
ORDER BY at, event_id LIMIT :take;

-- name: lock_cancellable
-- Locked rows are passed over by claims, so none of them goes out while its end is being said.
SELECT id, domain, message_id, email, attempts FROM sending_pool_emails
WHERE message_id = :message_id AND state IN ('to_validate', 'scheduled')
ORDER BY id LIMIT :page
FOR UPDATE SKIP LOCKED;

-- name: delete_cancelled!
DELETE FROM sending_pool_emails WHERE id = ANY(:ids::bigint[]);

-- name: pause_batch$
UPDATE messages SET paused_at = coalesce(paused_at, now()) WHERE message_id = :message_id RETURNING message_id;

-- name: pause_waiting!
UPDATE sending_pool_emails SET next_attempt_at = 'infinity'
WHERE message_id = :message_id AND state <> 'sending' AND next_attempt_at <> 'infinity';

-- name: resume_batch$
UPDATE messages SET paused_at = NULL WHERE message_id = :message_id RETURNING message_id;

-- name: resume_waiting!
-- The pause does not count against the retry window: what has not been tried yet becomes due now.
UPDATE sending_pool_emails
SET next_attempt_at = greatest(now(), due_at), due_at = CASE WHEN attempts = 0 THEN greatest(now(), due_at) ELSE due_at END
WHERE message_id = :message_id AND next_attempt_at = 'infinity';

-- name: retry_now
UPDATE sending_pool_emails SET next_attempt_at = now()
WHERE message_id = :message_id AND (:delivery_id::bigint = 0 OR id = :delivery_id::bigint)
  AND state IN ('to_validate', 'scheduled') AND next_attempt_at > now() AND next_attempt_at <> 'infinity'
RETURNING id;
