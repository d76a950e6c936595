-- The guard: batches that it paused, and what domains have instead of the configuration.

-- name: mark_tripped!
UPDATE batch_outcomes SET tripped_at = now() WHERE message_id = :message_id;

-- name: find_guard^
SELECT guard_enabled AS enabled, guard_dead_percent AS dead_percent, guard_complaint_percent AS complaint_percent
FROM domains WHERE domain = :domain;

-- name: update_guard^
UPDATE domains
SET guard_enabled = :enabled::boolean, guard_dead_percent = :dead_percent::float8,
    guard_complaint_percent = :complaint_percent::float8
WHERE domain = :domain
RETURNING guard_enabled AS enabled, guard_dead_percent AS dead_percent, guard_complaint_percent AS complaint_percent;
