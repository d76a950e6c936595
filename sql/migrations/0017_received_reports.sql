-- Reports of others, by mail: how receivers judged mail in a domain's name (DMARC), and how TLS with its servers went.

-- Each report counts once, however often it comes.
CREATE TABLE received_reports (
    domain       text NOT NULL REFERENCES domains ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('dmarc', 'tls')),
    reporter     text NOT NULL,
    report_id    text NOT NULL,
    begins_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (domain, kind, reporter, report_id)
);
CREATE INDEX received_reports_by_age ON received_reports (received_at);

CREATE TABLE dmarc_results (
    domain       text NOT NULL REFERENCES domains ON DELETE CASCADE,
    day          date NOT NULL, -- UTC
    source       inet NOT NULL,
    key          bytea NOT NULL, -- of the rest: equal results add up
    reporter     text NOT NULL,
    header_from  text NOT NULL,
    dkim         boolean NOT NULL, -- passed, in alignment
    spf          boolean NOT NULL,
    disposition  text NOT NULL,
    results      jsonb NOT NULL, -- {"dkim": [[domain, selector, result]], "spf": [[domain, result]]}
    mails        bigint NOT NULL,
    PRIMARY KEY (domain, day, source, key)
);

CREATE TABLE tls_results_received (
    domain       text NOT NULL REFERENCES domains ON DELETE CASCADE,
    day          date NOT NULL, -- UTC
    key          bytea NOT NULL,
    reporter     text NOT NULL,
    policy       text NOT NULL,
    failure      text NOT NULL, -- empty: the sessions succeeded
    host         text NOT NULL,
    sender       text NOT NULL,
    reason       text NOT NULL,
    sessions     bigint NOT NULL,
    PRIMARY KEY (domain, day, key)
);
