-- Mail under way as an operator sees it, and retrying it now.

-- name: list_batches
SELECT message_id, domain, template_id, subject, sender_email, created_at, scheduled_at, accepted_count, rejected_count,
       EXISTS (SELECT FROM pauses_of(m.message_id, m.domain, '')) AS paused, cancelled_at, tag, metadata,
       coalesce((SELECT max(reason) FROM pauses_of(m.message_id, m.domain, '')), '') AS pause_reason,
       (SELECT count(*) FROM sending_pool_emails p WHERE p.message_id = m.message_id) AS waiting_count
FROM messages m
WHERE domain = :domain AND created_at >= :from_time AND created_at < :to_time
ORDER BY created_at DESC, message_id
OFFSET :skip LIMIT :take;

-- name: count_batches$
SELECT count(*) FROM messages WHERE domain = :domain AND created_at >= :from_time AND created_at < :to_time;

-- name: list_tagged_batches
SELECT message_id, domain, template_id, subject, sender_email, created_at, scheduled_at, accepted_count, rejected_count,
       EXISTS (SELECT FROM pauses_of(m.message_id, m.domain, '')) AS paused, cancelled_at, tag, metadata,
       coalesce((SELECT max(reason) FROM pauses_of(m.message_id, m.domain, '')), '') AS pause_reason,
       (SELECT count(*) FROM sending_pool_emails p WHERE p.message_id = m.message_id) AS waiting_count
FROM messages m
WHERE domain = :domain AND tag = :tag AND tag <> '' AND created_at >= :from_time AND created_at < :to_time
ORDER BY created_at DESC, message_id
OFFSET :skip LIMIT :take;

-- name: count_tagged_batches$
SELECT count(*) FROM messages
WHERE domain = :domain AND tag = :tag AND tag <> '' AND created_at >= :from_time AND created_at < :to_time;

-- name: list_batches_after
-- Of each domain the newest that are before the place, by its index; of these the newest. The waiting
-- ones of each are counted to 250.
SELECT message_id, domain, template_id, subject, sender_email, created_at, scheduled_at, accepted_count, rejected_count,
       EXISTS (SELECT FROM pauses_of(m.message_id, m.domain, '')) AS paused, cancelled_at, tag, metadata,
       (SELECT count(*) FROM (SELECT FROM sending_pool_emails p WHERE p.message_id = m.message_id LIMIT 250) r)
       AS waiting_count
FROM (
    SELECT each.* FROM domains d, LATERAL (
        SELECT * FROM messages
        WHERE messages.domain = d.domain AND (:tag = '' OR tag = :tag)
          AND created_at >= :from_time AND created_at <= :before_at
          AND (created_at < :before_at OR message_id > :before_id)
        ORDER BY created_at DESC, message_id LIMIT :take
    ) each
    WHERE :domain = '' OR d.domain = :domain
    ORDER BY created_at DESC, message_id LIMIT :take
) m
ORDER BY created_at DESC, message_id;

-- name: find_batch_summary^
SELECT message_id, domain, template_id, subject, sender_email, created_at, scheduled_at, accepted_count, rejected_count,
       EXISTS (SELECT FROM pauses_of(m.message_id, m.domain, '')) AS paused, cancelled_at, tag, metadata,
       coalesce((SELECT max(reason) FROM pauses_of(m.message_id, m.domain, '')), '') AS pause_reason,
       (SELECT count(*) FROM sending_pool_emails p WHERE p.message_id = m.message_id) AS waiting_count
FROM messages m
WHERE message_id = :message_id;

-- name: batch_exists$
SELECT EXISTS (SELECT FROM messages WHERE message_id = :message_id);

-- name: count_waiting_by_state
SELECT state, count(*) AS count FROM sending_pool_emails WHERE message_id = :message_id GROUP BY state;

-- name: count_events_by_type
SELECT type, count(*) AS count, min(at) AS first_at, max(at) AS last_at FROM stats
WHERE message_id = :message_id GROUP BY type;

-- name: list_waiting
-- After keep_to_indexes: planned with its parameters, so that the parts that these exclude cost nothing. Each part reads
-- an index in its order, or rows that are few: one batch, one address, claimed mail, of unvalidated mail a page of each
-- tenant. A cancelled delivery that is about to end may be absent.
WITH RECURSIVE tenants AS (
    (SELECT domain FROM sending_pool_emails
     WHERE state = 'to_validate' AND :domain = '' AND :message_id = '' AND :email = '' AND :state IN ('', 'to_validate')
     ORDER BY domain LIMIT 1)
    UNION ALL
    SELECT next.domain FROM tenants t, LATERAL (
        SELECT domain FROM sending_pool_emails WHERE state = 'to_validate' AND domain > t.domain
        ORDER BY domain LIMIT 1) next
), found AS (
    (SELECT next_attempt_at, id FROM sending_pool_emails
     WHERE (:message_id <> '' AND message_id = :message_id) AND (:email = '' OR lower(email) = lower(:email))
       AND (:domain = '' OR domain = :domain) AND (:state = '' OR state = :state)
       AND (next_attempt_at, id) > (:after_at::timestamptz, :after_id::bigint)
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails
     WHERE :message_id = '' AND (:email <> '' AND lower(email) = lower(:email))
       AND (:domain = '' OR domain = :domain) AND (:state = '' OR state = :state)
       AND (next_attempt_at, id) > (:after_at::timestamptz, :after_id::bigint)
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails
     WHERE :message_id = '' AND :email = '' AND :domain = '' AND :state IN ('', 'scheduled')
       AND CASE WHEN cancelled_at IS NULL AND next_attempt_at < 'infinity' THEN state = 'scheduled' ELSE false END
       AND (next_attempt_at, id) > (:after_at::timestamptz, :after_id::bigint)
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails
     WHERE :message_id = '' AND :email = '' AND :domain <> '' AND :state IN ('', 'scheduled')
       AND state = 'scheduled' AND domain = :domain AND next_attempt_at < 'infinity'
       AND (next_attempt_at, id) > (:after_at::timestamptz, :after_id::bigint)
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails
     WHERE :message_id = '' AND :email = '' AND :domain <> '' AND :state IN ('', 'to_validate')
       AND state = 'to_validate' AND domain = :domain AND next_attempt_at < 'infinity'
       AND (next_attempt_at, id) > (:after_at::timestamptz, :after_id::bigint)
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    SELECT p.next_attempt_at, p.id FROM tenants t, LATERAL (
        SELECT next_attempt_at, id FROM sending_pool_emails
        WHERE state = 'to_validate' AND domain = t.domain AND next_attempt_at < 'infinity'
          AND (next_attempt_at, id) > (:after_at::timestamptz, :after_id::bigint)
        ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint) p
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails
     WHERE :message_id = '' AND :email = '' AND :state IN ('', 'validating', 'sending')
       AND state IN ('validating', 'sending') AND (:state = '' OR state = :state) AND (:domain = '' OR domain = :domain)
       AND (next_attempt_at, id) > (:after_at::timestamptz, :after_id::bigint)
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails
     WHERE :message_id = '' AND :email = '' AND :state IN ('', 'to_validate', 'scheduled')
       AND next_attempt_at = 'infinity' AND (:state = '' OR state = :state) AND (:domain = '' OR domain = :domain)
       AND id > CASE WHEN :after_at::timestamptz < 'infinity' THEN 0 ELSE :after_id::bigint END
     ORDER BY id LIMIT :skip::bigint + :take::bigint)
)
SELECT id, message_id, domain, email, state, due_at, nullif(next_attempt_at, 'infinity') AS next_attempt_at, attempts,
       last_code, last_stage, last_host, last_text, cancelled_at,
       array(SELECT scope FROM pauses_of(p.message_id, p.domain, p.email) ORDER BY scope) AS paused_by
FROM sending_pool_emails p
WHERE id = ANY(ARRAY(SELECT id FROM found ORDER BY next_attempt_at, id OFFSET :skip::bigint LIMIT :take::bigint))
ORDER BY p.next_attempt_at, id;

-- name: list_tagged_waiting
-- Of one domain, of batches with one tag. After keep_to_indexes.
WITH found AS (
    (SELECT next_attempt_at, id FROM sending_pool_emails p
     WHERE :state IN ('', 'scheduled') AND state = 'scheduled' AND domain = :domain
       AND (:message_id = '' OR message_id = :message_id) AND (:email = '' OR lower(email) = lower(:email))
       AND (SELECT tag FROM messages m WHERE m.message_id = p.message_id) = :tag
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails p
     WHERE :state IN ('', 'to_validate') AND state = 'to_validate' AND domain = :domain
       AND (:message_id = '' OR message_id = :message_id) AND (:email = '' OR lower(email) = lower(:email))
       AND (SELECT tag FROM messages m WHERE m.message_id = p.message_id) = :tag
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
    UNION ALL
    (SELECT next_attempt_at, id FROM sending_pool_emails p
     WHERE :state IN ('', 'validating', 'sending') AND state IN ('validating', 'sending')
       AND (:state = '' OR state = :state) AND domain = :domain
       AND (:message_id = '' OR message_id = :message_id) AND (:email = '' OR lower(email) = lower(:email))
       AND (SELECT tag FROM messages m WHERE m.message_id = p.message_id) = :tag
     ORDER BY next_attempt_at, id LIMIT :skip::bigint + :take::bigint)
)
SELECT id, message_id, domain, email, state, due_at, nullif(next_attempt_at, 'infinity') AS next_attempt_at, attempts,
       last_code, last_stage, last_host, last_text, cancelled_at,
       array(SELECT scope FROM pauses_of(p.message_id, p.domain, p.email) ORDER BY scope) AS paused_by
FROM sending_pool_emails p
WHERE id = ANY(ARRAY(SELECT id FROM found ORDER BY next_attempt_at, id OFFSET :skip::bigint LIMIT :take::bigint))
ORDER BY p.next_attempt_at, id;

-- name: count_tagged_waiting$
-- At most :most of waiting ones, and of claimed ones. After keep_to_indexes.
SELECT (SELECT count(*) FROM (SELECT FROM sending_pool_emails p
        WHERE :state IN ('', 'to_validate', 'scheduled') AND state IN ('to_validate', 'scheduled')
          AND (:state = '' OR state = :state) AND domain = :domain
          AND (:message_id = '' OR message_id = :message_id) AND (:email = '' OR lower(email) = lower(:email))
          AND (SELECT tag FROM messages m WHERE m.message_id = p.message_id) = :tag LIMIT :most::bigint) r)
     + (SELECT count(*) FROM (SELECT FROM sending_pool_emails p
        WHERE :state IN ('', 'validating', 'sending') AND state IN ('validating', 'sending')
          AND (:state = '' OR state = :state) AND domain = :domain
          AND (:message_id = '' OR message_id = :message_id) AND (:email = '' OR lower(email) = lower(:email))
          AND (SELECT tag FROM messages m WHERE m.message_id = p.message_id) = :tag LIMIT :most::bigint) r);

-- name: count_waiting$
-- At most :most of each state are counted. After keep_to_indexes.
SELECT (SELECT count(*) FROM (SELECT FROM sending_pool_emails
        WHERE (:message_id <> '' AND message_id = :message_id) AND (:email = '' OR lower(email) = lower(:email))
          AND (:domain = '' OR domain = :domain) AND (:state = '' OR state = :state) LIMIT :most::bigint) r)
     + (SELECT count(*) FROM (SELECT FROM sending_pool_emails
        WHERE :message_id = '' AND (:email <> '' AND lower(email) = lower(:email))
          AND (:domain = '' OR domain = :domain) AND (:state = '' OR state = :state) LIMIT :most::bigint) r)
     + (SELECT count(*) FROM (SELECT FROM sending_pool_emails
        WHERE :message_id = '' AND :email = '' AND :state IN ('', 'scheduled')
          AND state = 'scheduled' AND (:domain = '' OR domain = :domain) LIMIT :most::bigint) r)
     + (SELECT count(*) FROM (SELECT FROM sending_pool_emails
        WHERE :message_id = '' AND :email = '' AND :state IN ('', 'to_validate')
          AND state = 'to_validate' AND (:domain = '' OR domain = :domain) LIMIT :most::bigint) r)
     + (SELECT count(*) FROM (SELECT FROM sending_pool_emails
        WHERE :message_id = '' AND :email = '' AND :state IN ('', 'validating', 'sending')
          AND state IN ('validating', 'sending') AND (:state = '' OR state = :state)
          AND (:domain = '' OR domain = :domain) LIMIT :most::bigint) r);

-- name: find_waiting^
SELECT id, message_id, domain, email, state, due_at, nullif(next_attempt_at, 'infinity') AS next_attempt_at, attempts,
       last_code, last_stage, last_host, last_text, cancelled_at,
       array(SELECT scope FROM pauses_of(p.message_id, p.domain, p.email) ORDER BY scope) AS paused_by
FROM sending_pool_emails p
WHERE id = :delivery_id;

-- name: find_delivery_id$
-- Of a batch's recipient, ignoring case, an exact match first; waiting or ended.
SELECT id FROM (
    SELECT id, email FROM sending_pool_emails WHERE message_id = :message_id AND lower(email) = lower(:email)
    UNION ALL
    SELECT delivery_id, email FROM stats
    WHERE message_id = :message_id AND lower(email) = lower(:email) AND delivery_id <> 0
) found ORDER BY email = :email DESC, id LIMIT 1;

-- name: find_by_message_id$
-- As kannon.mail.message_id makes it.
SELECT id FROM (SELECT id, secret FROM sending_pool_emails WHERE domain = :domain LIMIT :scan) p
WHERE left(encode(sha256('message-id'::bytea || uuid_send(secret)), 'hex'), 32) = :local
LIMIT 1;

-- name: list_timeline
SELECT event_id, type, domain, message_id, email, at, tracking_mode, delivery_id, attempt, permanent, code,
       enhanced_status, text, stage, host, tls, retry_after_seconds, user_agent, ip, url, suspected_machine, tag, metadata
FROM stats WHERE delivery_id = :delivery_id AND delivery_id <> 0
ORDER BY at, event_id LIMIT :take;

-- name: retry_now$
-- Returns the number; paused and cancelled deliveries stay as they are.
WITH retried AS (
    UPDATE sending_pool_emails p SET next_attempt_at = now()
    WHERE (:delivery_id::bigint = 0 OR id = :delivery_id::bigint) AND (:message_id = '' OR message_id = :message_id)
      AND (:domain = '' OR domain = :domain)
      AND (cardinality(:destinations::text[]) = 0 OR lower(split_part(email, '@', -1)) = ANY(:destinations::text[]))
      AND state IN ('to_validate', 'scheduled') AND cancelled_at IS NULL
      AND next_attempt_at > now() AND next_attempt_at <> 'infinity'
      AND NOT EXISTS (SELECT FROM pauses_of(p.message_id, p.domain, p.email))
    RETURNING id
)
SELECT count(*) FROM retried;
