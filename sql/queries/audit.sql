-- The audit log: which change, by whom.

-- name: insert_audit_entry$
INSERT INTO audit (way, actor, attribution, peer, action, domain, subject)
VALUES (:way, :actor, :attribution, :peer, :action, :domain, :subject)
RETURNING id;

-- name: finish_audit_entry!
UPDATE audit SET done = true, domain = :domain, subject = :subject WHERE id = :id;

-- name: delete_audit_entry!
DELETE FROM audit WHERE id = :id;

-- name: list_audit_entries
SELECT id, at, way, actor, attribution, peer, action, domain, subject, done FROM audit
WHERE id < :before AND (:domain = '' OR domain = :domain) AND (:action = '' OR action = :action)
ORDER BY id DESC LIMIT :take;

-- name: delete_old_audit_entries!
DELETE FROM audit WHERE at < :before;
