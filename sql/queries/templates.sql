-- Templates of the owner's, and transient ones of single sends.

-- name: insert_template^
-- Nothing where there is no such domain.
INSERT INTO templates (template_id, domain, type, engine, title, html)
SELECT :template_id, domain, 'template', :engine, :title, :html FROM domains WHERE domain = :domain
RETURNING template_id, domain, type, engine, title, html, version;

-- name: lock_template_to_save$
-- One save of a template at a time. Sends that use it do not wait.
SELECT template_id FROM templates WHERE template_id = :template_id FOR NO KEY UPDATE;

-- name: update_template^
-- The next version; batches keep the one before.
WITH former AS (
    INSERT INTO template_versions (template_id, version, title, html, saved_at)
    SELECT template_id, version, title, html, updated_at FROM templates WHERE template_id = :template_id
)
UPDATE templates SET title = :title, html = :html, version = version + 1, updated_at = now()
WHERE template_id = :template_id
RETURNING template_id, domain, type, engine, title, html, version;

-- name: prune_template_versions!
-- All but the newest :keep of the former ones, and those that waiting deliveries need.
DELETE FROM template_versions v
WHERE template_id = :template_id
  AND version <= (SELECT version FROM templates WHERE template_id = :template_id) - 1 - :keep::integer
  AND NOT EXISTS (
      SELECT FROM messages m JOIN sending_pool_emails p ON p.message_id = m.message_id
      WHERE m.template_id = v.template_id AND m.template_version = v.version
  );

-- name: list_template_versions
-- Newest first, the current one too.
SELECT version, title, saved_at, octet_length(html) AS bytes
FROM (
    SELECT version, title, updated_at AS saved_at, html FROM templates WHERE template_id = :template_id
    UNION ALL
    SELECT version, title, saved_at, html FROM template_versions WHERE template_id = :template_id
) v
ORDER BY version DESC LIMIT :take;

-- name: find_template_version^
SELECT version, title, saved_at, html
FROM (
    SELECT version, title, updated_at AS saved_at, html FROM templates WHERE template_id = :template_id
    UNION ALL
    SELECT version, title, saved_at, html FROM template_versions WHERE template_id = :template_id
) v
WHERE version = :version;

-- name: find_template^
SELECT template_id, domain, type, engine, title, html, version FROM templates WHERE template_id = :template_id;

-- name: find_template_bytes
SELECT t.template_id, t.domain, t.version, octet_length(t.html) AS bytes,
       CASE WHEN t.engine = 'jinja' THEN t.html END AS jinja
FROM unnest(:template_ids::text[], :domains::text[]) AS w(template_id, domain)
JOIN templates t ON t.template_id = w.template_id AND t.domain = w.domain;

-- name: find_partials
-- Those of a domain's jinja templates that have one of these titles.
SELECT title, html FROM templates
WHERE domain = :domain AND type = 'template' AND engine = 'jinja' AND title = ANY(:titles::text[])
ORDER BY created_at, template_id LIMIT 200;

-- name: lock_template$
-- Waits for sends that are about to commit a batch of this template, and blocks later ones.
SELECT template_id FROM templates WHERE template_id = :template_id FOR UPDATE;

-- name: template_is_needed$
SELECT EXISTS (
    SELECT FROM messages m JOIN sending_pool_emails p ON p.message_id = m.message_id WHERE m.template_id = :template_id
);

-- name: delete_template^
DELETE FROM templates WHERE template_id = :template_id RETURNING template_id, domain, type, engine, title, html, version;

-- name: list_templates
SELECT template_id, domain, type, engine, title, html, version FROM templates
WHERE domain = :domain AND type = 'template'
ORDER BY created_at, template_id
OFFSET :skip LIMIT :take;

-- name: count_templates$
SELECT count(*) FROM templates WHERE domain = :domain AND type = 'template';
