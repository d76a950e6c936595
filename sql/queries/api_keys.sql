-- API keys; of the secret only its SHA-256 and its first characters are stored.

-- name: insert_api_key^
-- Nothing where there is no such domain.
INSERT INTO api_keys (id, domain, name, prefix, secret_sha256, expires_at, scopes, networks, per_second, per_day)
SELECT :id, domain, :name, :prefix, :secret_sha256, :expires_at::timestamptz, :scopes::text[], :networks::cidr[],
       :per_second::integer, :per_day::bigint
FROM domains WHERE domain = :domain
RETURNING id, domain, name, prefix, created_at, expires_at, deactivated_at, scopes, networks, per_second, per_day,
       last_used_at, last_used_from;

-- name: find_tenant^
SELECT d.domain, d.opens_ceiling, d.links_ceiling, d.per_second, d.per_day, k.secret_sha256, k.id AS key_id, k.scopes,
       k.networks, k.per_second AS key_per_second, k.per_day AS key_per_day,
       d.suppression_enabled AND EXISTS (SELECT FROM suppressions s WHERE s.domain = d.domain) AS suppresses
FROM api_keys k JOIN domains d ON d.domain = k.domain
WHERE k.secret_sha256 = :secret_sha256 AND (:domain::text = '' OR k.domain = :domain) AND k.deactivated_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > now());

-- name: find_tenant_of_domain^
-- For the administrator, who needs no key.
SELECT d.domain, d.opens_ceiling, d.links_ceiling, d.per_second, d.per_day,
       d.suppression_enabled AND EXISTS (SELECT FROM suppressions s WHERE s.domain = d.domain) AS suppresses
FROM domains d WHERE d.domain = :domain;

-- name: find_api_key^
SELECT id, domain, name, prefix, created_at, expires_at, deactivated_at, scopes, networks, per_second, per_day,
       last_used_at, last_used_from
FROM api_keys WHERE domain = :domain AND id = :id;

-- name: update_api_key^
-- What is NULL stays.
UPDATE api_keys SET name = coalesce(:name::text, name), scopes = coalesce(:scopes::text[], scopes),
                    networks = coalesce(:networks::cidr[], networks),
                    per_second = coalesce(:per_second::integer, per_second),
                    per_day = coalesce(:per_day::bigint, per_day)
WHERE domain = :domain AND id = :id
RETURNING id, domain, name, prefix, created_at, expires_at, deactivated_at, scopes, networks, per_second, per_day,
       last_used_at, last_used_from;

-- name: note_uses!
-- A later use stays.
UPDATE api_keys k SET last_used_at = u.at, last_used_from = u.peer
FROM (SELECT * FROM unnest(:ids::text[], :ats::timestamptz[], :peers::text[]) AS u(id, at, peer) ORDER BY id) u
WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at);

-- name: deactivate_api_key^
UPDATE api_keys SET deactivated_at = coalesce(deactivated_at, now()) WHERE domain = :domain AND id = :id
RETURNING id, domain, name, prefix, created_at, expires_at, deactivated_at, scopes, networks, per_second, per_day,
       last_used_at, last_used_from;

-- name: list_api_keys
SELECT id, domain, name, prefix, created_at, expires_at, deactivated_at, scopes, networks, per_second, per_day,
       last_used_at, last_used_from FROM api_keys
WHERE domain = :domain
  AND (NOT :only_active::boolean OR (deactivated_at IS NULL AND (expires_at IS NULL OR expires_at > now())))
ORDER BY created_at DESC, id
OFFSET :skip LIMIT :take;

-- name: count_api_keys$
SELECT count(*) FROM api_keys
WHERE domain = :domain
  AND (NOT :only_active::boolean OR (deactivated_at IS NULL AND (expires_at IS NULL OR expires_at > now())));
