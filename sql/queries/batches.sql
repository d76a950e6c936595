-- A batch: stored when its send is accepted, loaded when its mails are built.

-- name: insert_batches
-- With their templates where they bring one, their attachments, and the deliveries of those that have few. `owners` and
-- `attachment_owners` are positions in the list of batches, from 1. Due now unless scheduled for later, by the clock
-- that claims it; returns the due times.
WITH batch AS MATERIALIZED (
    SELECT b.message_id, b.domain, b.template_id, b.html, b.sender_email, b.sender_alias, b.subject, b.header_to,
           b.header_cc, b.header_reply_to, b.global_fields, b.unsubscribe_url, greatest(b.scheduled_at, now()) AS due_at,
           b.accepted_count, b.rejected_count
    FROM unnest(:message_ids::text[], :domains::text[], :template_ids::text[], :htmls::text[], :sender_emails::text[],
                :sender_aliases::text[], :subjects::text[], :headers_to::jsonb[], :headers_cc::jsonb[],
                :headers_reply_to::jsonb[],
                :global_fields::jsonb[], :unsubscribe_urls::text[], :scheduled_at::timestamptz[],
                :accepted_counts::integer[], :rejected_counts::integer[])
        AS b(message_id, domain, template_id, html, sender_email, sender_alias, subject, header_to, header_cc,
             header_reply_to, global_fields, unsubscribe_url, scheduled_at, accepted_count, rejected_count)
), template AS (
    INSERT INTO templates (template_id, domain, type, html)
    SELECT template_id, domain, 'transient', html FROM batch WHERE html IS NOT NULL
), attachment AS (
    INSERT INTO attachments (message_id, position, filename, content_type, content_id, content)
    SELECT (:message_ids::text[])[a.owner], a.position, a.filename, a.content_type, a.content_id, a.content
    FROM unnest(:attachment_owners::integer[], :positions::integer[], :filenames::text[], :content_types::text[],
                :content_ids::text[], :contents::bytea[])
        AS a(owner, position, filename, content_type, content_id, content)
), delivery AS (
    INSERT INTO sending_pool_emails (message_id, domain, email, fields, opens, links, due_at, next_attempt_at)
    SELECT (:message_ids::text[])[d.owner], (:domains::text[])[d.owner], d.email, d.fields, d.opens, d.links,
           greatest((:scheduled_at::timestamptz[])[d.owner], now()),
           greatest((:scheduled_at::timestamptz[])[d.owner], now())
    FROM unnest(:owners::integer[], :emails::text[], :fields::jsonb[], :opens::smallint[], :links::smallint[])
        AS d(owner, email, fields, opens, links)
)
INSERT INTO messages (message_id, domain, template_id, sender_email, sender_alias, subject, header_to, header_cc,
                      header_reply_to, global_fields, unsubscribe_url, scheduled_at, accepted_count, rejected_count)
SELECT message_id, domain, template_id, sender_email, sender_alias, subject,
       ARRAY(SELECT jsonb_array_elements_text(header_to)), ARRAY(SELECT jsonb_array_elements_text(header_cc)),
       ARRAY(SELECT jsonb_array_elements_text(header_reply_to)), global_fields, unsubscribe_url, due_at, accepted_count, rejected_count
FROM batch
RETURNING message_id, scheduled_at;

-- name: find_batches
-- Batches of one template come one after the other, and the first one brings its HTML, as long as all HTML has at most
-- :most_bytes; the very first one brings it in any case.
WITH batch AS (
    SELECT m.*, t.html, octet_length(t.html) AS html_bytes,
           row_number() OVER (PARTITION BY m.template_id ORDER BY m.message_id) AS place
    FROM messages m JOIN templates t USING (template_id)
    WHERE m.message_id = ANY(:message_ids::text[])
)
SELECT message_id, domain, template_id, scheduled_at, sender_email, sender_alias, subject, html_bytes,
       CASE WHEN place = 1 AND (row_number() OVER lines = 1
                                OR sum(html_bytes) FILTER (WHERE place = 1) OVER lines <= :most_bytes::bigint)
            THEN html END AS html,
       header_to, header_cc, header_reply_to, global_fields, unsubscribe_url,
       (SELECT sum(octet_length(a.content)) FROM attachments a WHERE a.message_id = b.message_id) AS attachment_bytes
FROM batch b
WINDOW lines AS (ORDER BY template_id, message_id)
ORDER BY template_id, message_id;

-- name: list_attachments
SELECT message_id, filename, content_type, content_id, content FROM attachments
WHERE message_id = ANY(:message_ids::text[]) ORDER BY message_id, position;
