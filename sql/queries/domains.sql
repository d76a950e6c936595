-- Domains and the tracking they allow.

-- name: insert_domain$
-- The domain's name; no row where it exists already.
WITH created AS (
    INSERT INTO domains (domain) VALUES (:domain) ON CONFLICT DO NOTHING RETURNING domain
)
INSERT INTO dkim_keys (domain, selector, algorithm, private_pem, public_key, active)
SELECT domain, :selector, 'rsa-sha256', :private_pem, :public_key, true FROM created
RETURNING domain;

-- name: find_domain^
SELECT d.domain, d.opens_ceiling, d.links_ceiling, k.selector, k.public_key
FROM domains d LEFT JOIN dkim_keys k ON k.domain = d.domain AND k.algorithm = 'rsa-sha256' AND k.active
WHERE d.domain = :domain;

-- name: list_domains
SELECT d.domain, d.opens_ceiling, d.links_ceiling, k.selector, k.public_key
FROM domains d LEFT JOIN dkim_keys k ON k.domain = d.domain AND k.algorithm = 'rsa-sha256' AND k.active
ORDER BY d.domain;

-- name: update_tracking$
UPDATE domains SET opens_ceiling = :opens, links_ceiling = :links WHERE domain = :domain RETURNING domain;

-- name: find_domain_limits^
SELECT per_second, per_day FROM domains WHERE domain = :domain;

-- name: update_domain_limits^
UPDATE domains SET per_second = :per_second::integer, per_day = :per_day::bigint WHERE domain = :domain
RETURNING per_second, per_day;
