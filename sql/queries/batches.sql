-- A batch comes in: its template if it brought one, itself, its attachments, and the deliveries of a small one.

-- name: insert_batch$
-- Due now unless it is scheduled for later: by the clock that claims it. Returns when.
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
