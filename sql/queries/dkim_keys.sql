-- DKIM keys of a domain: next, active, retired, deleted.

-- name: lock_dkim_keys$
-- Keys of a domain change one at a time; the lock blocks neither sends nor deliveries.
SELECT domain FROM domains WHERE domain = :domain FOR NO KEY UPDATE;

-- name: list_dkim_keys
-- Oldest first. `under_way`: a delivery claimed while this key may still have signed has no outcome yet.
SELECT k.domain, k.selector, k.algorithm, k.public_key, k.active, k.created_at, k.retired_at, k.deleted_at,
       k.retired_at IS NOT NULL AND k.deleted_at IS NULL AND EXISTS (
           SELECT FROM sending_pool_emails p
           WHERE p.state = 'sending' AND p.domain = k.domain AND p.claimed_at < k.retired_at + :switch::interval
       ) AS under_way
FROM dkim_keys k
WHERE k.domain = :domain
ORDER BY k.id;

-- name: insert_dkim_key!
-- Nothing where there is no such domain.
INSERT INTO dkim_keys (domain, selector, algorithm, private_pem, public_key)
SELECT domain, :selector, :algorithm, :private_pem, :public_key FROM domains WHERE domain = :domain;

-- name: retire_dkim_keys!
-- The active key of this algorithm.
UPDATE dkim_keys SET active = false, retired_at = now() WHERE domain = :domain AND algorithm = :algorithm AND active;

-- name: activate_dkim_key!
UPDATE dkim_keys SET active = true, retired_at = NULL WHERE domain = :domain AND selector = :selector;

-- name: delete_dkim_key!
UPDATE dkim_keys SET deleted_at = now(), private_pem = '' WHERE domain = :domain AND selector = :selector;

-- name: list_active_dkim_keys
SELECT domain, selector, algorithm, private_pem FROM dkim_keys
WHERE domain = ANY(:domains::text[]) AND active ORDER BY domain, algorithm DESC;
