-- Pauses, and the release of the deliveries that they hold.

-- name: insert_pause$
-- An existing pause stays as it is; one that is ending starts again. Returns its beginning.
INSERT INTO pauses AS p (scope, spelling, subject, reason)
SELECT :scope, spelling, :subject, :reason FROM unnest(:spellings::text[]) spelling
ON CONFLICT (scope, spelling) DO UPDATE
SET since = CASE WHEN p.ended_at IS NULL THEN p.since ELSE now() END, ended_at = NULL,
    reason = CASE WHEN p.ended_at IS NULL AND excluded.reason = '' THEN p.reason ELSE excluded.reason END
RETURNING since;

-- name: find_paused_batch^
-- The batch, where this transaction has just paused it.
SELECT m.message_id, m.domain, m.tag, p.since, p.reason FROM messages m JOIN pauses p ON p.scope = 'batch' AND p.subject = m.message_id
WHERE m.message_id = :subject AND p.since = now();

-- name: list_pauses
SELECT DISTINCT scope, subject, since, reason FROM pauses WHERE ended_at IS NULL ORDER BY scope, subject;

-- name: end_pause!
-- Waits for claims that see the pause, so that all deliveries that they hold are committed before this is.
UPDATE pauses SET ended_at = clock_timestamp() WHERE scope = :scope AND subject = :subject AND ended_at IS NULL;

-- name: end_pauses_of_cancelled_batches!
-- They hold nothing.
UPDATE pauses p SET ended_at = clock_timestamp()
WHERE scope = 'batch' AND ended_at IS NULL
  AND EXISTS (SELECT FROM messages m WHERE m.message_id = p.subject AND m.cancelled_at IS NOT NULL);

-- name: list_ended_pauses
SELECT scope, spelling, ended_at FROM pauses WHERE ended_at IS NOT NULL;

-- name: release_held
-- Due now. The pause does not count against the retry window. Another pause holds its deliveries again at the next
-- claim.
WITH page AS (
    SELECT p.id, (SELECT min(e.since) FROM pauses e
                  WHERE e.ended_at IS NOT NULL AND (e.scope, e.spelling) IN
                        (('batch', p.message_id), ('domain', p.domain),
                         ('destination', lower(split_part(p.email, '@', -1))))) AS since
    FROM sending_pool_emails p
    WHERE p.next_attempt_at = 'infinity' AND p.cancelled_at IS NULL AND p.id > :after
      AND EXISTS (SELECT FROM pauses e
                  WHERE e.ended_at IS NOT NULL AND (e.scope, e.spelling) IN
                        (('batch', p.message_id), ('domain', p.domain),
                         ('destination', lower(split_part(p.email, '@', -1)))))
    ORDER BY p.id LIMIT :page FOR UPDATE
)
UPDATE sending_pool_emails p
SET next_attempt_at = now(), due_at = least(now(), p.due_at + (now() - greatest(page.since, p.due_at)))
FROM page WHERE p.id = page.id
RETURNING p.id;

-- name: delete_ended_pause!
DELETE FROM pauses WHERE scope = :scope AND spelling = :spelling AND ended_at = :ended_at;
