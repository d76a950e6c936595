-- Responses to sends with an idempotency key, stored for 24 hours.

-- name: claim_idempotency_key$
-- True where this transaction has the key. Waits while another one has it; no row where a response is stored.
INSERT INTO idempotency_keys (domain, key, request_sha256, response)
VALUES (:domain, :key, :request_sha256, '')
ON CONFLICT (domain, key) DO UPDATE
SET request_sha256 = excluded.request_sha256, response = '', created_at = now()
WHERE idempotency_keys.created_at <= now() - interval '24 hours'
RETURNING true;

-- name: find_idempotent_answer^
SELECT request_sha256, response FROM idempotency_keys WHERE domain = :domain AND key = :key;

-- name: store_idempotent_answer!
UPDATE idempotency_keys SET response = :response WHERE domain = :domain AND key = :key;

-- name: delete_expired_idempotency_keys!
DELETE FROM idempotency_keys WHERE created_at <= now() - interval '24 hours';
