-- Replacing the embedded database by a restored one. `kannon` is the present one, `kannon_restored` the one that comes.

-- name: find_schema_version$
SELECT max(version) FROM schema_migrations;

-- name: create_restored!
CREATE DATABASE kannon_restored TEMPLATE template0;

-- name: drop_restored!
DROP DATABASE IF EXISTS kannon_restored WITH (FORCE);

-- name: drop_replaced!
DROP DATABASE IF EXISTS kannon_replaced WITH (FORCE);

-- name: end_sessions!
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname IN ('kannon', 'kannon_restored') AND pid <> pg_backend_pid();

-- name: set_present_aside!
ALTER DATABASE kannon RENAME TO kannon_replaced;

-- name: put_restored_in_place!
ALTER DATABASE kannon_restored RENAME TO kannon;

-- name: find_last_delivery_id$
SELECT last_value FROM sending_pool_emails_id_seq;

-- name: skip_delivery_ids!
SELECT setval('sending_pool_emails_id_seq', greatest(last_value, :last) + :gap) FROM sending_pool_emails_id_seq;

-- name: list_stats_keys
SELECT kid, private_pem, public_pem, sign_until, verify_until FROM stats_keys;

-- name: keep_stats_key!
INSERT INTO stats_keys (kid, private_pem, public_pem, sign_until, verify_until)
VALUES (:kid, :private_pem, :public_pem, :sign_until, :verify_until) ON CONFLICT (kid) DO NOTHING;

-- name: list_bounce_secrets_to_keep
SELECT secret FROM bounce_keys ORDER BY id;

-- name: keep_bounce_secret!
INSERT INTO bounce_keys (secret) SELECT :secret::bytea WHERE NOT EXISTS (SELECT FROM bounce_keys WHERE secret = :secret);
