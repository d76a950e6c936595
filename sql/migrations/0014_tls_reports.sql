-- Mail that only authenticated servers get (RFC 8689). How TLS with recipients' servers went, by day and recipients'
-- domain, and the reports of it (RFC 8460).

ALTER TABLE messages ADD COLUMN require_tls boolean NOT NULL DEFAULT false;

CREATE TABLE tls_results (
    day       date NOT NULL, -- UTC
    domain    text NOT NULL, -- the recipients'
    key       bytea NOT NULL, -- of the result: equal results add up
    result    jsonb NOT NULL,
    sessions  bigint NOT NULL,
    PRIMARY KEY (day, domain, key)
);

-- Pages of results that were counted: a page that comes again changes nothing.
CREATE TABLE tls_result_pages (
    id  text PRIMARY KEY,
    at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tls_result_pages_by_age ON tls_result_pages (at);

CREATE TABLE tls_reports (
    day              date NOT NULL,
    domain           text NOT NULL,
    state            text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'unwanted', 'failed')),
    attempts         integer NOT NULL DEFAULT 0,
    next_attempt_at  timestamptz NOT NULL,
    delivered        text[] NOT NULL DEFAULT '{}', -- the addresses that have it
    detail           text NOT NULL DEFAULT '', -- what went wrong last
    PRIMARY KEY (day, domain)
);
CREATE INDEX tls_reports_due ON tls_reports (next_attempt_at) WHERE state = 'due';
