-- Templates of the owner's, and transient ones of single sends.

-- name: insert_template^
-- Nothing where there is no such domain.
INSERT INTO templates (template_id, domain, type, engine, title, html)
SELECT :template_id, domain, 'template', :engine, :title, :html FROM domains WHERE domain = :domain
RETURNING template_id, domain, type, engine, title, html;

-- name: update_template^
UPDATE templates SET title = :title, html = :html, updated_at = now() WHERE template_id = :template_id
RETURNING template_id, domain, type, engine, title, html;

-- name: find_template^
SELECT template_id, domain, type, engine, title, html FROM templates WHERE template_id = :template_id;

-- name: find_template_bytes
SELECT t.template_id, t.domain, octet_length(t.html) AS bytes, CASE WHEN t.engine = 'jinja' THEN t.html END AS jinja
FROM unnest(:template_ids::text[], :domains::text[]) AS w(template_id, domain)
JOIN templates t ON t.template_id = w.template_id AND t.domain = w.domain;

-- name: lock_template$
-- Waits for sends that are about to commit a batch of this template, and blocks later ones.
SELECT template_id FROM templates WHERE template_id = :template_id FOR UPDATE;

-- name: template_is_needed$
SELECT EXISTS (
    SELECT FROM messages m JOIN sending_pool_emails p ON p.message_id = m.message_id WHERE m.template_id = :template_id
);

-- name: delete_template^
DELETE FROM templates WHERE template_id = :template_id RETURNING template_id, domain, type, engine, title, html;

-- name: list_templates
SELECT template_id, domain, type, engine, title, html FROM templates
WHERE domain = :domain AND type = 'template'
ORDER BY created_at, template_id
OFFSET :skip LIMIT :take;

-- name: count_templates$
SELECT count(*) FROM templates WHERE domain = :domain AND type = 'template';
