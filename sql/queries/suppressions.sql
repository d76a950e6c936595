-- Addresses that a domain does not send to. An expired entry has no effect until it is deleted.

-- name: find_suppressed
-- Those of these addresses that a send of their domain and tag must leave out: an entry without a tag is about all mail.
SELECT DISTINCT a.domain, a.tag, a.address
FROM unnest(:domains::text[], :tags::text[], :addresses::text[]) AS a(domain, tag, address)
JOIN suppressions s ON s.domain = a.domain AND s.address = a.address AND s.tag IN ('', a.tag)
JOIN domains d ON d.domain = s.domain AND d.suppression_enabled
WHERE s.expires_at > now();

-- name: find_suppressions
-- Of one address, the one without a tag first. `tag` NULL: of any tag.
SELECT domain, email, tag, cause, since, nullif(expires_at, 'infinity') AS expires_at, event_id, message_id, delivery_id,
       code, enhanced_status, text, host, note
FROM suppressions
WHERE domain = :domain AND address = :address AND (:tag::text IS NULL OR tag = :tag) AND expires_at > now()
ORDER BY tag;

-- name: list_suppressions
-- In the order of the addresses and their tags, behind the tag `after_tag` of the address `after` (NULL: behind all its
-- tags).
SELECT domain, email, tag, cause, since, nullif(expires_at, 'infinity') AS expires_at, event_id, message_id, delivery_id,
       code, enhanced_status, text, host, note
FROM suppressions
WHERE domain = :domain AND address >= :after AND (address > :after OR tag > :after_tag::text)
  AND (:cause = '' OR cause = :cause) AND (:tag = '' OR tag = :tag) AND expires_at > now()
ORDER BY address, tag
LIMIT :take;

-- name: count_suppressions$
SELECT count(*) FROM suppressions
WHERE domain = :domain AND (:cause = '' OR cause = :cause) AND (:tag = '' OR tag = :tag) AND expires_at > now();

-- name: insert_suppressions
-- An existing entry stays, unless the new one lasts longer or is a complaint after a bounce. Returns the new and the
-- changed ones.
INSERT INTO suppressions AS s (domain, address, tag, email, cause, since, expires_at, note)
SELECT DISTINCT ON (n.address, n.tag) :domain, n.address, n.tag, n.email, n.cause, n.since, coalesce(n.expires_at, 'infinity'), n.note
FROM unnest(:addresses::text[], :tags::text[], :emails::text[], :causes::text[], :sinces::timestamptz[],
            :expiries::timestamptz[], :notes::text[]) AS n(address, tag, email, cause, since, expires_at, note)
ORDER BY n.address, n.tag, n.expires_at DESC NULLS FIRST
ON CONFLICT (domain, address, tag) DO UPDATE
SET email = excluded.email, cause = excluded.cause, since = excluded.since, note = excluded.note,
    expires_at = greatest(s.expires_at, excluded.expires_at), event_id = '', message_id = '', delivery_id = 0, code = 0,
    enhanced_status = '', text = '', host = ''
WHERE excluded.expires_at > s.expires_at OR (s.cause = 'bounced' AND excluded.cause = 'complained')
RETURNING address;

-- name: delete_suppressions
-- `tag` NULL: all entries of these addresses; empty: those about all mail.
WITH forgotten AS (
    DELETE FROM first_bounces
    WHERE domain = :domain AND address = ANY(:addresses::text[]) AND coalesce(:tag::text, '') = ''
)
DELETE FROM suppressions
WHERE domain = :domain AND address = ANY(:addresses::text[]) AND (:tag::text IS NULL OR tag = :tag)
RETURNING address, email;

-- name: delete_expired_suppressions!
DELETE FROM suppressions WHERE expires_at <= now();

-- name: delete_forgotten_bounces!
DELETE FROM first_bounces WHERE at < :before;

-- name: find_suppression_enabled$
SELECT suppression_enabled FROM domains WHERE domain = :domain;

-- name: update_suppression_enabled$
UPDATE domains SET suppression_enabled = :enabled WHERE domain = :domain RETURNING domain;
