-- Batches and templates that no row needs any longer, a page at a time.

-- name: list_old_batches
SELECT message_id, created_at FROM messages m
WHERE created_at < :before AND (created_at, message_id) > (:after_time::timestamptz, :after_id)
ORDER BY created_at, message_id LIMIT :page;

-- name: delete_unneeded_batches!
-- Not while a delivery waits or an event is stored.
DELETE FROM messages m
WHERE message_id = ANY(:ids::text[])
  AND NOT EXISTS (SELECT FROM sending_pool_emails p WHERE p.message_id = m.message_id)
  AND NOT EXISTS (SELECT FROM stats s WHERE s.message_id = m.message_id);

-- name: lock_old_templates
-- Locked, so that a concurrent send either commits before the deletion, which then keeps the template, or finds none.
SELECT template_id FROM templates t
WHERE type = 'transient' AND created_at < :before AND template_id > :after
  AND NOT EXISTS (SELECT FROM messages m WHERE m.template_id = t.template_id)
ORDER BY template_id LIMIT :page
FOR UPDATE SKIP LOCKED;

-- name: delete_unneeded_templates!
DELETE FROM templates t
WHERE template_id = ANY(:ids::text[]) AND NOT EXISTS (SELECT FROM messages m WHERE m.template_id = t.template_id);

-- name: delete_pauses_of_no_batch!
DELETE FROM pauses p WHERE scope = 'batch' AND NOT EXISTS (SELECT FROM messages m WHERE m.message_id = p.subject);
