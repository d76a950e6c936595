-- A batch: stored when its send is accepted, loaded when its mails are built.

-- name: insert_batch$
-- With its template where it brings one, its attachments, and the deliveries where they are few. Due now unless it is
-- scheduled for later, by the clock that claims it; returns the due time.
WITH template AS (
    INSERT INTO templates (template_id, domain, type, html)
    SELECT :template_id, :domain, 'transient', :html WHERE :html::text IS NOT NULL
), attachment AS (
    INSERT INTO attachments (message_id, position, filename, content_type, content_id, content)
    SELECT :message_id, a.position, a.filename, a.content_type, a.content_id, a.content
    FROM unnest(:filenames::text[], :content_types::text[], :content_ids::text[], :contents::bytea[])
        WITH ORDINALITY AS a(filename, content_type, content_id, content, position)
), delivery AS (
    INSERT INTO sending_pool_emails (message_id, domain, email, fields, opens, links, due_at, next_attempt_at)
    SELECT :message_id, :domain, d.email, d.fields, d.opens, d.links, greatest(:scheduled_at::timestamptz, now()),
           greatest(:scheduled_at::timestamptz, now())
    FROM unnest(:emails::text[], :fields::jsonb[], :opens::smallint[], :links::smallint[])
        AS d(email, fields, opens, links)
)
INSERT INTO messages (message_id, domain, template_id, sender_email, sender_alias, subject, header_to, header_cc,
                      global_fields, unsubscribe_url, scheduled_at, accepted_count, rejected_count)
VALUES (:message_id, :domain, :template_id, :sender_email, :sender_alias, :subject, :header_to, :header_cc,
        :global_fields, :unsubscribe_url, greatest(:scheduled_at::timestamptz, now()), :accepted_count, :rejected_count)
RETURNING scheduled_at;

-- name: find_batch^
SELECT m.message_id, m.domain, m.template_id, m.scheduled_at, m.sender_email, m.sender_alias, m.subject, t.html,
       m.header_to, m.header_cc, m.global_fields, m.unsubscribe_url
FROM messages m JOIN templates t USING (template_id)
WHERE m.message_id = :message_id;

-- name: list_attachments
SELECT filename, content_type, content_id, content FROM attachments WHERE message_id = :message_id ORDER BY position;
