-- Whom a domain does not write to any more, and why.

ALTER TABLE domains ADD COLUMN suppression_enabled boolean NOT NULL DEFAULT true;

CREATE TABLE suppressions (
    domain           text NOT NULL REFERENCES domains ON DELETE CASCADE,
    address          text NOT NULL, -- in the form in which addresses are compared
    email            text NOT NULL, -- as it was written
    cause            text NOT NULL CHECK (cause IN ('bounced', 'complained', 'manual')),
    since            timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL, -- infinity: never
    event_id         text NOT NULL DEFAULT '',
    message_id       text NOT NULL DEFAULT '',
    delivery_id      bigint NOT NULL DEFAULT 0,
    code             integer NOT NULL DEFAULT 0,
    enhanced_status  text NOT NULL DEFAULT '',
    text             text NOT NULL DEFAULT '',
    host             text NOT NULL DEFAULT '',
    note             text NOT NULL DEFAULT '',
    PRIMARY KEY (domain, address)
);
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at) WHERE expires_at < 'infinity';
