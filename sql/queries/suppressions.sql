-- Addresses that a domain does not send to. An expired entry has no effect until it is deleted.

-- name: find_suppressed
-- Those of these addresses that a send of their domain must leave out.
SELECT s.domain, s.address FROM unnest(:domains::text[], :addresses::text[]) AS a(domain, address)
JOIN suppressions s ON s.domain = a.domain AND s.address = a.address
JOIN domains d ON d.domain = s.domain AND d.suppression_enabled
WHERE s.expires_at > now();

-- name: find_suppression^
SELECT domain, email, cause, since, nullif(expires_at, 'infinity') AS expires_at, event_id, message_id, delivery_id,
       code, enhanced_status, text, host, note
FROM suppressions WHERE domain = :domain AND address = :address AND expires_at > now();

-- name: list_suppressions
-- In the order of the addresses; `after` is the last one of the page before.
SELECT domain, email, cause, since, nullif(expires_at, 'infinity') AS expires_at, event_id, message_id, delivery_id,
       code, enhanced_status, text, host, note
FROM suppressions
WHERE domain = :domain AND address > :after AND (:cause = '' OR cause = :cause) AND expires_at > now()
ORDER BY address
LIMIT :take;

-- name: count_suppressions$
SELECT count(*) FROM suppressions WHERE domain = :domain AND (:cause = '' OR cause = :cause) AND expires_at > now();

-- name: insert_suppressions
-- An existing entry stays, unless the new one lasts longer or is a complaint after a bounce. Returns the new and the
-- changed ones.
INSERT INTO suppressions AS s (domain, address, email, cause, since, expires_at, note)
SELECT DISTINCT ON (n.address) :domain, n.address, n.email, n.cause, n.since, coalesce(n.expires_at, 'infinity'), n.note
FROM unnest(:addresses::text[], :emails::text[], :causes::text[], :sinces::timestamptz[], :expiries::timestamptz[],
            :notes::text[]) AS n(address, email, cause, since, expires_at, note)
ORDER BY n.address, n.expires_at DESC NULLS FIRST
ON CONFLICT (domain, address) DO UPDATE
SET email = excluded.email, cause = excluded.cause, since = excluded.since, note = excluded.note,
    expires_at = greatest(s.expires_at, excluded.expires_at), event_id = '', message_id = '', delivery_id = 0, code = 0,
    enhanced_status = '', text = '', host = ''
WHERE excluded.expires_at > s.expires_at OR (s.cause = 'bounced' AND excluded.cause = 'complained')
RETURNING address;

-- name: delete_suppressions
WITH forgotten AS (DELETE FROM first_bounces WHERE domain = :domain AND address = ANY(:addresses::text[]))
DELETE FROM suppressions WHERE domain = :domain AND address = ANY(:addresses::text[]) RETURNING email;

-- name: delete_expired_suppressions!
DELETE FROM suppressions WHERE expires_at <= now();

-- name: delete_forgotten_bounces!
DELETE FROM first_bounces WHERE at < :before;

-- name: find_suppression_enabled$
SELECT suppression_enabled FROM domains WHERE domain = :domain;

-- name: update_suppression_enabled$
UPDATE domains SET suppression_enabled = :enabled WHERE domain = :domain RETURNING domain;
