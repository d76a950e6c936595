-- The house: domains and their keys, templates, batches, the pool, statistics.
-- Words: a row of messages is a batch; a row of sending_pool_emails is a delivery in flight.

CREATE TABLE domains (
    domain          text PRIMARY KEY,
    created_at      timestamptz NOT NULL DEFAULT now(),
    opens_ceiling   smallint NOT NULL DEFAULT 4 CHECK (opens_ceiling BETWEEN 1 AND 5),
    links_ceiling   smallint NOT NULL DEFAULT 4 CHECK (links_ceiling BETWEEN 1 AND 5)
);

CREATE TABLE dkim_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain       text NOT NULL REFERENCES domains ON DELETE CASCADE,
    selector     text NOT NULL,
    algorithm    text NOT NULL CHECK (algorithm IN ('rsa-sha256', 'ed25519-sha256')),
    private_pem  text NOT NULL,
    public_key   text NOT NULL, -- base64, as in the p= tag
    active       boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    retired_at   timestamptz,
    UNIQUE (domain, selector)
);
CREATE UNIQUE INDEX dkim_keys_one_active ON dkim_keys (domain, algorithm) WHERE active;

CREATE TABLE api_keys (
    id              text PRIMARY KEY, -- key_<24>
    domain          text NOT NULL REFERENCES domains ON DELETE CASCADE,
    name            text NOT NULL,
    prefix          text NOT NULL,    -- the first 8 characters of the secret, for display
    secret_sha256   bytea NOT NULL UNIQUE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz,
    deactivated_at  timestamptz
);
CREATE INDEX api_keys_by_domain ON api_keys (domain, created_at DESC, id);

CREATE TABLE templates (
    template_id  text PRIMARY KEY, -- template_<24>@<domain>
    domain       text NOT NULL REFERENCES domains ON DELETE CASCADE,
    type         text NOT NULL CHECK (type IN ('template', 'transient')),
    title        text NOT NULL DEFAULT '',
    html         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX templates_by_domain ON templates (domain, created_at, template_id) WHERE type = 'template';

CREATE TABLE messages (
    message_id       text PRIMARY KEY, -- msg_<24>@<domain>
    domain           text NOT NULL REFERENCES domains ON DELETE CASCADE,
    template_id      text REFERENCES templates ON DELETE SET NULL, -- null: deleted when no delivery needed it any more
    sender_email     text NOT NULL,
    sender_alias     text NOT NULL DEFAULT '',
    subject          text NOT NULL,
    header_to        text[] NOT NULL DEFAULT '{}',
    header_cc        text[] NOT NULL DEFAULT '{}',
    global_fields    jsonb NOT NULL DEFAULT '{}',
    unsubscribe_url  text NOT NULL DEFAULT '', -- a URL template; empty: no List-Unsubscribe
    created_at       timestamptz NOT NULL DEFAULT now(),
    scheduled_at     timestamptz NOT NULL,
    accepted_count   integer NOT NULL,
    rejected_count   integer NOT NULL,
    paused_at        timestamptz -- set: next_attempt_at of its waiting deliveries is infinity
);
CREATE INDEX messages_by_domain ON messages (domain, created_at DESC, message_id);
CREATE INDEX messages_by_template ON messages (template_id);

CREATE TABLE attachments (
    message_id    text NOT NULL REFERENCES messages ON DELETE CASCADE,
    position      integer NOT NULL,
    filename      text NOT NULL,
    content_type  text NOT NULL DEFAULT '',
    content_id    text NOT NULL DEFAULT '',
    content       bytea NOT NULL,
    PRIMARY KEY (message_id, position)
);

CREATE TABLE sending_pool_emails (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the delivery id
    message_id       text NOT NULL,
    domain           text NOT NULL, -- the tenant's, for fair claims
    email            text NOT NULL,
    fields           jsonb NOT NULL DEFAULT '{}',
    opens            smallint NOT NULL CHECK (opens BETWEEN 1 AND 5),
    links            smallint NOT NULL CHECK (links BETWEEN 1 AND 5),
    secret           uuid NOT NULL DEFAULT gen_random_uuid(), -- source of Message-ID and pseudonym, the same on retries
    state            text NOT NULL DEFAULT 'to_validate'
                     CHECK (state IN ('to_validate', 'validating', 'scheduled', 'sending')),
    created_at       timestamptz NOT NULL DEFAULT now(),
    due_at           timestamptz NOT NULL, -- when it first became due: the start of its retry window
    next_attempt_at  timestamptz NOT NULL,
    claimed_at       timestamptz,
    attempts         integer NOT NULL DEFAULT 0,
    turn             integer NOT NULL DEFAULT 0, -- counts up when an envelope of this attempt is known to be gone unsent
    last_code        integer NOT NULL DEFAULT 0,
    last_stage       text NOT NULL DEFAULT '',
    last_host        text NOT NULL DEFAULT '',
    last_text        text NOT NULL DEFAULT '',
    CHECK ((claimed_at IS NOT NULL) = (state IN ('validating', 'sending')))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
-- One index serves fair claims (per domain, oldest due first) and finds the domains that have work.
CREATE INDEX sending_pool_due ON sending_pool_emails (state, domain, next_attempt_at)
    WHERE state IN ('to_validate', 'scheduled');
CREATE INDEX sending_pool_claimed ON sending_pool_emails (state, claimed_at) WHERE state IN ('validating', 'sending');
CREATE INDEX sending_pool_by_message ON sending_pool_emails (message_id);

-- Partitions are one ISO week each, made ahead of need and dropped whole when older than stats.retention.
CREATE TABLE stats (
    event_id           text NOT NULL,
    at                 timestamptz NOT NULL,
    type               text NOT NULL CHECK (type IN ('accepted', 'rejected', 'delivered', 'bounced', 'error', 'failed',
                                                     'opened', 'clicked', 'complained')),
    domain             text NOT NULL,
    message_id         text NOT NULL,
    email              text NOT NULL,
    delivery_id        bigint NOT NULL DEFAULT 0,
    attempt            integer NOT NULL DEFAULT 0,
    tracking_mode      smallint NOT NULL DEFAULT 0,
    permanent          boolean NOT NULL DEFAULT false,
    code               integer NOT NULL DEFAULT 0,
    enhanced_status    text NOT NULL DEFAULT '',
    text               text NOT NULL DEFAULT '',
    stage              text NOT NULL DEFAULT '',
    host               text NOT NULL DEFAULT '',
    tls                text NOT NULL DEFAULT '',
    retry_after_seconds integer NOT NULL DEFAULT 0,
    user_agent         text NOT NULL DEFAULT '',
    ip                 text NOT NULL DEFAULT '',
    url                text NOT NULL DEFAULT '',
    suspected_machine  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (event_id, at)
) PARTITION BY RANGE (at);
CREATE INDEX stats_by_domain ON stats (domain, at DESC, event_id DESC);
CREATE INDEX stats_by_message ON stats (message_id, at);
CREATE INDEX stats_by_delivery ON stats (delivery_id) WHERE delivery_id <> 0;

-- Anonymous events are counted, never kept: only their ids, as long as the bus may redeliver them.
CREATE TABLE anonymous_events (
    event_id  text PRIMARY KEY,
    at        timestamptz NOT NULL
);
CREATE INDEX anonymous_events_by_time ON anonymous_events (at);

CREATE TABLE aggregated_stats (
    domain  text NOT NULL,
    hour    timestamptz NOT NULL,
    type    text NOT NULL,
    count   bigint NOT NULL,
    PRIMARY KEY (domain, hour, type)
);

-- Ed25519 keys of tracking tokens.
CREATE TABLE stats_keys (
    kid          text PRIMARY KEY,
    private_pem  text NOT NULL,
    public_pem   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    sign_until   timestamptz NOT NULL, -- the next key signs from then on
    verify_until timestamptz NOT NULL  -- its last token is dead by then
);

-- The HMAC key of bounce addresses; the newest signs, all verify.
CREATE TABLE bounce_keys (
    id          smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret      bytea NOT NULL CHECK (length(secret) = 32),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE idempotency_keys (
    domain          text NOT NULL REFERENCES domains ON DELETE CASCADE,
    key             text NOT NULL,
    request_sha256  bytea NOT NULL,
    response        bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (domain, key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);
