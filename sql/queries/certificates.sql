-- Certificates that Kannon orders by ACME, the accounts, and the answers to challenges.

-- name: list_issued_certificates
-- Issued at that time or later.
SELECT name, chain, private_key, not_before, not_after, issued_at FROM certificates
WHERE chain <> '' AND issued_at >= :since::timestamptz ORDER BY issued_at;

-- name: find_certificate^
SELECT name, chain, private_key, not_before, not_after, issued_at, retry_at, failures FROM certificates
WHERE name = :name;

-- name: upsert_certificate!
INSERT INTO certificates (name, chain, private_key, not_before, not_after, issued_at)
VALUES (:name, :chain, :private_key, :not_before, :not_after, now())
ON CONFLICT (name) DO UPDATE SET chain = excluded.chain, private_key = excluded.private_key,
    not_before = excluded.not_before, not_after = excluded.not_after, issued_at = excluded.issued_at,
    failures = 0, retry_at = 'epoch', problem = '';

-- name: insert_certificate_failure!
INSERT INTO certificates (name, failures, retry_at, problem) VALUES (:name, 1, :retry_at, :problem)
ON CONFLICT (name) DO UPDATE SET failures = certificates.failures + 1, retry_at = excluded.retry_at,
    problem = excluded.problem;

-- name: find_acme_account$
SELECT private_key FROM acme_accounts WHERE directory = :directory;

-- name: insert_acme_account!
INSERT INTO acme_accounts (directory, private_key) VALUES (:directory, :private_key) ON CONFLICT DO NOTHING;

-- name: insert_acme_challenge!
INSERT INTO acme_challenges (token, answer) VALUES (:token, :answer) ON CONFLICT (token) DO UPDATE SET answer = :answer;

-- name: list_acme_challenges
SELECT token, answer FROM acme_challenges WHERE created_at > now() - interval '1 hour';

-- name: delete_old_acme_challenges!
DELETE FROM acme_challenges WHERE created_at < now() - interval '1 hour';

-- name: try_lock_certificates$
-- One node orders at a time; the session's end unlocks.
SELECT pg_try_advisory_lock(1802006125);

