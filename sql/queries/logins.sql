-- Logins to the pages: links that work once, and sessions.

-- name: insert_login!
INSERT INTO logins (secret_sha256, kind, viewer, authority, expires_at)
VALUES (:secret_sha256, :kind, :viewer, :authority, now() + :lifetime::interval);

-- name: find_session^
SELECT viewer, authority FROM logins
WHERE secret_sha256 = :secret_sha256 AND kind = 'session' AND expires_at > now();

-- name: take_link^
DELETE FROM logins WHERE secret_sha256 = :secret_sha256 AND kind = 'link'
RETURNING viewer, authority, expires_at > now() AS valid;

-- name: delete_session!
DELETE FROM logins WHERE secret_sha256 = :secret_sha256 AND kind = 'session';

-- name: delete_expired_logins!
DELETE FROM logins WHERE expires_at <= now();
