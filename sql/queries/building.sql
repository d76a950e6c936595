-- What the dispatcher needs once per batch.

-- name: find_batch^
SELECT m.message_id, m.domain, m.sender_email, m.sender_alias, m.subject, t.html, m.header_to, m.header_cc,
       m.global_fields, m.unsubscribe_url
FROM messages m JOIN templates t USING (template_id)
WHERE m.message_id = :message_id;

-- name: list_attachments
SELECT filename, content_type, content_id, content FROM attachments WHERE message_id = :message_id ORDER BY position;

-- name: list_active_dkim_keys
SELECT selector, algorithm, private_pem FROM dkim_keys WHERE domain = :domain AND active ORDER BY algorithm DESC;
