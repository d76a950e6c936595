-- Reports of others: stored once each, added up by day.

-- name: count_reports_of_today$
SELECT count(*) FROM received_reports WHERE domain = :domain AND received_at > now() - interval '1 day';

-- name: insert_dmarc_report$
-- True where it is new.
WITH report AS (
    INSERT INTO received_reports (domain, kind, reporter, report_id, begins_at, ends_at)
    VALUES (:domain, 'dmarc', :reporter, :report_id, :begins_at, :ends_at)
    ON CONFLICT DO NOTHING RETURNING domain
), results AS (
    INSERT INTO dmarc_results AS a (domain, day, source, key, reporter, header_from, dkim, spf, disposition, results, mails)
    SELECT report.domain, :day::date, r.source, r.key, :reporter, r.header_from, r.dkim, r.spf, r.disposition, r.results,
           r.mails
    FROM report, unnest(:sources::inet[], :keys::bytea[], :header_froms::text[], :dkims::boolean[], :spfs::boolean[],
                        :dispositions::text[], :results::jsonb[], :mails::bigint[])
         AS r (source, key, header_from, dkim, spf, disposition, results, mails)
    ON CONFLICT (domain, day, source, key) DO UPDATE SET mails = a.mails + excluded.mails
)
SELECT EXISTS (SELECT FROM report);

-- name: insert_received_tls_report$
-- True where it is new.
WITH report AS (
    INSERT INTO received_reports (domain, kind, reporter, report_id, begins_at, ends_at)
    VALUES (:domain, 'tls', :reporter, :report_id, :begins_at, :ends_at)
    ON CONFLICT DO NOTHING RETURNING domain
), results AS (
    INSERT INTO tls_results_received AS a (domain, day, key, reporter, policy, failure, host, sender, reason, sessions)
    SELECT report.domain, :day::date, r.key, :reporter, r.policy, r.failure, r.host, r.sender, r.reason, r.sessions
    FROM report, unnest(:keys::bytea[], :policies::text[], :failures::text[], :hosts::text[], :senders::text[],
                        :reasons::text[], :sessions::bigint[])
         AS r (key, policy, failure, host, sender, reason, sessions)
    ON CONFLICT (domain, day, key) DO UPDATE SET sessions = a.sessions + excluded.sessions
)
SELECT EXISTS (SELECT FROM report);

-- name: list_dmarc_sources
-- Of a span of days, the source addresses with the most mail; of each, its different results.
WITH page AS (
    SELECT source, sum(mails) AS total FROM dmarc_results
    WHERE domain = :domain AND day BETWEEN :from_day::date AND :to_day::date
    GROUP BY source ORDER BY sum(mails) FILTER (WHERE NOT (dkim AND spf)) DESC NULLS LAST, total DESC, source LIMIT :take
)
SELECT host(r.source) AS source, r.header_from, r.dkim, r.spf, r.disposition, r.results, sum(r.mails)::bigint AS mails
FROM page JOIN dmarc_results r USING (source)
WHERE r.domain = :domain AND r.day BETWEEN :from_day::date AND :to_day::date
GROUP BY r.source, r.header_from, r.dkim, r.spf, r.disposition, r.results
ORDER BY sum(r.mails) DESC, source
LIMIT :rows;

-- name: sum_dmarc_results^
SELECT coalesce(sum(mails), 0)::bigint AS mails, coalesce(sum(mails) FILTER (WHERE dkim OR spf), 0)::bigint AS aligned,
       coalesce(sum(mails) FILTER (WHERE dkim), 0)::bigint AS dkim, coalesce(sum(mails) FILTER (WHERE spf), 0)::bigint AS spf,
       coalesce(sum(mails) FILTER (WHERE disposition = 'quarantine'), 0)::bigint AS quarantined,
       coalesce(sum(mails) FILTER (WHERE disposition = 'reject'), 0)::bigint AS rejected,
       count(DISTINCT source) AS sources
FROM dmarc_results WHERE domain = :domain AND day BETWEEN :from_day::date AND :to_day::date;

-- name: list_received_tls_results
SELECT policy, failure, host, sender, reason, sum(sessions)::bigint AS sessions FROM tls_results_received
WHERE domain = :domain AND day BETWEEN :from_day::date AND :to_day::date
GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 1, 2, 3, 4, 5 LIMIT :take;

-- name: list_reporters
SELECT kind, reporter, count(*) AS reports, max(ends_at) AS last FROM received_reports
WHERE domain = :domain AND ends_at >= :from_day::date AND begins_at < :to_day::date + 1
GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT :take;

-- name: delete_old_reports!
WITH reports AS (DELETE FROM received_reports WHERE received_at < :before::timestamptz),
     dmarc AS (DELETE FROM dmarc_results WHERE day < :before::timestamptz::date)
DELETE FROM tls_results_received WHERE day < :before::timestamptz::date;
