-- Keys of the server: tracking tokens (stats_keys) and bounce addresses (bounce_keys).

-- name: list_signing_keys
SELECT kid, private_pem, sign_until FROM stats_keys WHERE sign_until > :now ORDER BY sign_until DESC;

-- name: insert_stats_key!
INSERT INTO stats_keys (kid, private_pem, public_pem, sign_until, verify_until)
VALUES (:kid, :private_pem, :public_pem, :sign_until, :verify_until);

-- name: list_verification_keys
SELECT kid, private_pem FROM stats_keys WHERE verify_until > :now;

-- name: delete_expired_stats_keys!
DELETE FROM stats_keys WHERE verify_until < :now;

-- name: lock_keys!
-- One process at a time creates a key; the end of the transaction releases the lock.
SELECT pg_advisory_xact_lock(1802006123);

-- name: list_bounce_secrets
SELECT id, secret FROM bounce_keys ORDER BY id DESC;

-- name: insert_bounce_secret!
INSERT INTO bounce_keys (id, secret) OVERRIDING SYSTEM VALUE VALUES (:id, :secret);

-- name: next_bounce_key_id$
-- Before the insert, since the encrypted secret is bound to it.
SELECT nextval(pg_get_serial_sequence('bounce_keys', 'id'));
