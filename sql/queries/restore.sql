-- Replacing the embedded database by a restored one: `kannon` is the current one, `kannon_restored` the new one.

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

-- name: rename_current!
ALTER DATABASE kannon RENAME TO kannon_replaced;

-- name: rename_restored!
ALTER DATABASE kannon_restored RENAME TO kannon;

-- name: find_last_delivery_id$
SELECT last_value FROM sending_pool_emails_id_seq;

-- name: skip_delivery_ids!
SELECT setval('sending_pool_emails_id_seq', greatest(last_value, :last) + :gap) FROM sending_pool_emails_id_seq;

-- name: list_stats_keys
SELECT kid, private_pem, public_pem, sign_until, verify_until FROM stats_keys;

-- name: copy_stats_key!
INSERT INTO stats_keys (kid, private_pem, public_pem, sign_until, verify_until)
VALUES (:kid, :private_pem, :public_pem, :sign_until, :verify_until) ON CONFLICT (kid) DO NOTHING;

-- name: list_bounce_secrets_by_age
SELECT id, secret FROM bounce_keys ORDER BY id;
