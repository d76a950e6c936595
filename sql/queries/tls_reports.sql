-- TLS results by day and recipients' domain, and the reports of them.

-- name: insert_tls_results!
-- Nothing where the page is counted already.
WITH page AS (
    INSERT INTO tls_result_pages (id) VALUES (:page_id) ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO tls_results (day, domain, key, result, sessions)
SELECT r.day, r.domain, r.key, r.result, r.sessions
FROM page, unnest(:days::date[], :domains::text[], :keys::bytea[], :results::jsonb[], :sessions::bigint[])
     AS r (day, domain, key, result, sessions)
ON CONFLICT (day, domain, key) DO UPDATE SET sessions = tls_results.sessions + excluded.sessions;

-- name: open_tls_reports!
-- RFC 8460 §4.1: reports are spread over some hours. The first hour is for results that are still on the bus.
INSERT INTO tls_reports (day, domain, next_attempt_at)
SELECT r.day, r.domain,
       ((r.day + 1)::timestamp AT TIME ZONE 'UTC') + :grace::interval
       + :spread::interval * ((hashtext(r.domain) & 65535) / 65536.0)
FROM (SELECT DISTINCT day, domain FROM tls_results WHERE day < :today::date) r
ON CONFLICT DO NOTHING;

-- name: claim_tls_report^
UPDATE tls_reports SET attempts = attempts + 1, next_attempt_at = :now::timestamptz + :lease::interval
WHERE (day, domain) = (
    SELECT day, domain FROM tls_reports WHERE state = 'due' AND next_attempt_at <= :now::timestamptz
    ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING day, domain, attempts, delivered;

-- name: list_tls_results
SELECT result, sessions FROM tls_results WHERE day = :day::date AND domain = :domain ORDER BY sessions DESC, key LIMIT :take;

-- name: note_tls_report_delivered!
UPDATE tls_reports SET delivered = array_append(delivered, :uri) WHERE day = :day::date AND domain = :domain;

-- name: settle_tls_report!
UPDATE tls_reports SET state = :state, detail = :detail, next_attempt_at = coalesce(:next_attempt_at::timestamptz, next_attempt_at)
WHERE day = :day::date AND domain = :domain;

-- name: delete_old_tls_results!
WITH pages AS (DELETE FROM tls_result_pages WHERE at < :before::timestamptz),
     reports AS (DELETE FROM tls_reports WHERE day < :before::timestamptz::date)
DELETE FROM tls_results WHERE day < :before::timestamptz::date;
