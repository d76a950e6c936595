-- A batch: stored when its send is accepted, loaded when its mails are built.

-- name: insert_batches
-- With their templates where they bring one, their attachments, and the deliveries of those that have few. `owners` and
-- `attachment_owners` are positions in the list of batches, from 1. Due now unless scheduled for later, by the clock
-- that claims it; returns the due times.
WITH batch AS MATERIALIZED (
    SELECT b.message_id, b.domain, b.template_id, b.template_version, b.html, b.engine, b.text, b.raw, b.sender_email,
           b.sender_alias, b.subject,
           b.header_to, b.header_cc, b.header_reply_to, b.header_fields, b.global_fields, b.unsubscribe_url,
           b.own_unsubscribe, b.require_tls, b.tag, b.metadata, greatest(b.scheduled_at, now()) AS due_at,
           b.accepted_count, b.rejected_count
    FROM unnest(:message_ids::text[], :domains::text[], :template_ids::text[], :template_versions::integer[],
                :htmls::text[], :engines::text[],
                :texts::text[], :raws::bytea[], :sender_emails::text[], :sender_aliases::text[], :subjects::text[],
                :headers_to::jsonb[], :headers_cc::jsonb[], :headers_reply_to::jsonb[], :header_fields::jsonb[],
                :global_fields::jsonb[], :unsubscribe_urls::text[], :own_unsubscribes::boolean[], :require_tls::boolean[],
                :tags::text[], :metadata::jsonb[],
                :scheduled_at::timestamptz[], :accepted_counts::integer[], :rejected_counts::integer[])
        AS b(message_id, domain, template_id, template_version, html, engine, text, raw, sender_email, sender_alias,
             subject, header_to, header_cc,
             header_reply_to, header_fields, global_fields, unsubscribe_url, own_unsubscribe, require_tls, tag, metadata,
             scheduled_at, accepted_count, rejected_count)
), template AS (
    INSERT INTO templates (template_id, domain, type, engine, html)
    SELECT template_id, domain, 'transient', engine, html FROM batch WHERE html IS NOT NULL
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
INSERT INTO messages (message_id, domain, template_id, template_version, text, raw, sender_email, sender_alias,
                      subject, header_to,
                      header_cc, header_reply_to, header_fields, global_fields, unsubscribe_url, own_unsubscribe, require_tls, tag,
                      metadata, scheduled_at, accepted_count, rejected_count)
SELECT message_id, domain, template_id, template_version, text, raw, sender_email, sender_alias, subject,
       ARRAY(SELECT jsonb_array_elements_text(header_to)), ARRAY(SELECT jsonb_array_elements_text(header_cc)),
       ARRAY(SELECT jsonb_array_elements_text(header_reply_to)), header_fields, global_fields, unsubscribe_url, own_unsubscribe, require_tls,
       tag, metadata, due_at, accepted_count, rejected_count
FROM batch
RETURNING message_id, scheduled_at;

-- name: find_batches
-- Batches of one template come one after the other, and the first one brings its HTML. `loaded` as long as all HTML and
-- texts have at most :most_bytes; the very first one is in any case. Raw messages have neither, and are not loaded here.
WITH batch AS (
    SELECT m.message_id, m.domain, m.template_id, m.template_version, m.scheduled_at, m.sender_email, m.sender_alias,
           m.subject, m.text,
           m.header_to, m.header_cc, m.header_reply_to, m.header_fields, m.global_fields, m.unsubscribe_url, m.own_unsubscribe, m.require_tls,
           octet_length(m.raw) AS raw_bytes, w.html, t.engine, coalesce(octet_length(w.html), 0) AS html_bytes,
           octet_length(m.text) AS text_bytes,
           row_number() OVER (PARTITION BY m.template_id, m.template_version ORDER BY m.message_id) AS place
    FROM messages m LEFT JOIN templates t USING (template_id)
    LEFT JOIN template_versions v ON v.template_id = m.template_id AND v.version = m.template_version
    CROSS JOIN LATERAL (SELECT CASE WHEN t.version = m.template_version THEN t.html ELSE v.html END AS html) w
    WHERE m.message_id = ANY(:message_ids::text[]) AND (w.html IS NOT NULL OR m.raw IS NOT NULL)
), counted AS (
    SELECT b.*, row_number() OVER lines = 1
                OR sum(text_bytes + CASE WHEN place = 1 THEN html_bytes ELSE 0 END) OVER lines <= :most_bytes::bigint
                AS loaded
    FROM batch b
    WINDOW lines AS (ORDER BY template_id, template_version, message_id)
)
SELECT message_id, domain, template_id, template_version, scheduled_at, sender_email, sender_alias, subject, loaded,
       html_bytes + text_bytes AS text_bytes, CASE WHEN place = 1 AND loaded THEN html END AS html,
       CASE WHEN loaded THEN text END AS text, header_to, header_cc, header_reply_to, header_fields, global_fields,
       unsubscribe_url, own_unsubscribe, require_tls, raw_bytes, engine,
       coalesce(raw_bytes, (SELECT sum(octet_length(a.content)) FROM attachments a
                            WHERE a.message_id = c.message_id)) AS attachment_bytes
FROM counted c
ORDER BY template_id, template_version, message_id;

-- name: list_attachments
SELECT message_id, filename, content_type, content_id, content FROM attachments
WHERE message_id = ANY(:message_ids::text[]) ORDER BY message_id, position;

-- name: list_raw_messages
SELECT message_id, raw FROM messages WHERE message_id = ANY(:message_ids::text[]) AND raw IS NOT NULL;

-- name: reschedule_batch^
-- Moves the deliveries that no sender has had: neither claimed for sending nor attempted. Held ones, too: the pause that
-- holds them holds them again when they are due. Locked in the same order as outcomes lock them. No row where there is
-- no such batch of the domain.
WITH batch AS (
    SELECT message_id, cancelled_at FROM messages WHERE message_id = :message_id AND domain = :domain
), movable AS (
    SELECT id FROM sending_pool_emails
    WHERE message_id = :message_id AND domain = :domain AND state IN ('to_validate', 'validating', 'scheduled')
      AND attempts = 0 AND cancelled_at IS NULL
    ORDER BY id FOR UPDATE
), moved AS (
    UPDATE sending_pool_emails
    SET due_at = greatest(:scheduled_at::timestamptz, now()), next_attempt_at = greatest(:scheduled_at::timestamptz, now())
    WHERE id = ANY(ARRAY(SELECT id FROM movable))
    RETURNING id
), noted AS (
    UPDATE messages SET scheduled_at = greatest(:scheduled_at::timestamptz, now())
    WHERE message_id = :message_id AND EXISTS (SELECT FROM moved)
)
SELECT greatest(:scheduled_at::timestamptz, now()) AS scheduled_at, (SELECT count(*) FROM moved) AS moved,
       (SELECT count(*) FROM sending_pool_emails p WHERE p.message_id = :message_id) AS waiting,
       cancelled_at IS NOT NULL AS cancelled
FROM batch;
