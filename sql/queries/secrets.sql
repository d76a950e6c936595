-- The secrets in all tables, and the master keys that encrypt them. `place` names a secret's purpose and row.

-- name: lock_secrets!
-- One process at a time changes the active key or encrypts what is not encrypted with it; the session's end unlocks.
SELECT pg_advisory_lock(1802006124);

-- name: find_active_master_key$
SELECT id FROM master_keys WHERE active;

-- name: list_master_keys
SELECT id, active, created_at FROM master_keys ORDER BY created_at, id;

-- name: deactivate_master_keys!
UPDATE master_keys SET active = false WHERE active;

-- name: activate_master_key!
INSERT INTO master_keys (id, active) VALUES (:id, true) ON CONFLICT (id) DO UPDATE SET active = true;

-- name: list_secrets_of_other_keys
-- The next page, after a place, of secrets that the active key (as a pattern) has not encrypted.
SELECT place, stored FROM (
    SELECT 'dkim_keys/' || domain || '/' || selector AS place, private_pem AS stored FROM dkim_keys
    UNION ALL SELECT 'stats_keys/' || kid, private_pem FROM stats_keys
    UNION ALL SELECT 'bounce_keys/' || id, secret FROM bounce_keys
    UNION ALL SELECT 'webhook_endpoints/' || id, secret FROM webhook_endpoints
    UNION ALL SELECT 'webhook_endpoints/' || id || '/previous', previous_secret FROM webhook_endpoints
    UNION ALL SELECT 'certificates/' || name, private_key FROM certificates
    UNION ALL SELECT 'acme_accounts/' || directory, private_key FROM acme_accounts
) s
WHERE stored <> '' AND stored NOT LIKE :active AND place > :after
ORDER BY place LIMIT :page;

-- name: count_secrets_by_key
-- By the id of the master key; the empty one: not encrypted.
SELECT key, count(*) FROM (
    SELECT CASE WHEN stored LIKE 'aes1.%' THEN split_part(stored, '.', 2) ELSE '' END AS key FROM (
        SELECT private_pem AS stored FROM dkim_keys
        UNION ALL SELECT private_pem FROM stats_keys
        UNION ALL SELECT secret FROM bounce_keys
        UNION ALL SELECT secret FROM webhook_endpoints
        UNION ALL SELECT previous_secret FROM webhook_endpoints
        UNION ALL SELECT private_key FROM certificates
        UNION ALL SELECT private_key FROM acme_accounts
    ) s WHERE stored <> ''
) k GROUP BY key ORDER BY key;

-- name: replace_dkim_secrets!
-- Each only where it is as it was read.
UPDATE dkim_keys k SET private_pem = d.fresh
FROM unnest(:places::text[], :stored::text[], :fresh::text[]) AS d(place, stored, fresh)
WHERE d.place = 'dkim_keys/' || k.domain || '/' || k.selector AND k.private_pem = d.stored;

-- name: replace_stats_secrets!
UPDATE stats_keys k SET private_pem = d.fresh
FROM unnest(:places::text[], :stored::text[], :fresh::text[]) AS d(place, stored, fresh)
WHERE d.place = 'stats_keys/' || k.kid AND k.private_pem = d.stored;

-- name: replace_bounce_secrets!
UPDATE bounce_keys k SET secret = d.fresh
FROM unnest(:places::text[], :stored::text[], :fresh::text[]) AS d(place, stored, fresh)
WHERE d.place = 'bounce_keys/' || k.id AND k.secret = d.stored;

-- name: replace_webhook_secrets!
UPDATE webhook_endpoints k SET secret = d.fresh
FROM unnest(:places::text[], :stored::text[], :fresh::text[]) AS d(place, stored, fresh)
WHERE d.place = 'webhook_endpoints/' || k.id AND k.secret = d.stored;

-- name: replace_previous_webhook_secrets!
UPDATE webhook_endpoints k SET previous_secret = d.fresh
FROM unnest(:places::text[], :stored::text[], :fresh::text[]) AS d(place, stored, fresh)
WHERE d.place = 'webhook_endpoints/' || k.id || '/previous' AND k.previous_secret = d.stored;

-- name: replace_certificate_secrets!
UPDATE certificates k SET private_key = d.fresh
FROM unnest(:places::text[], :stored::text[], :fresh::text[]) AS d(place, stored, fresh)
WHERE d.place = 'certificates/' || k.name AND k.private_key = d.stored;

-- name: replace_account_secrets!
UPDATE acme_accounts k SET private_key = d.fresh
FROM unnest(:places::text[], :stored::text[], :fresh::text[]) AS d(place, stored, fresh)
WHERE d.place = 'acme_accounts/' || k.directory AND k.private_key = d.stored;
