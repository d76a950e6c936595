-- Webhooks: the endpoints of a domain, the outbox of their events, their attempts and replays; batches that are not
-- finished yet; the daily check of published records; Kannon's own unsubscribe link.

CREATE TABLE webhook_endpoints (
    id text PRIMARY KEY,
    domain text NOT NULL REFERENCES domains (domain) ON DELETE CASCADE,
    url text NOT NULL,
    types text[] NOT NULL DEFAULT '{}', -- empty: all
    max_batch integer NOT NULL DEFAULT 1 CHECK (max_batch BETWEEN 1 AND 100),
    secret text NOT NULL,
    previous_secret text NOT NULL DEFAULT '',
    previous_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    enabled boolean NOT NULL DEFAULT true,
    disabled_at timestamptz,
    disabled_reason text NOT NULL DEFAULT '',
    last_success_at timestamptz,
    failing_since timestamptz, -- the first failure since the last success
    failures integer NOT NULL DEFAULT 0,
    rest_until timestamptz NOT NULL DEFAULT '-infinity',
    given_up bigint NOT NULL DEFAULT 0,
    leased_by text NOT NULL DEFAULT '',
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    CHECK (enabled = (disabled_at IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX webhook_endpoints_by_domain ON webhook_endpoints (domain);

-- `data` is what the event was stored with. No foreign key: its check would cost as much as the insert.
CREATE TABLE webhook_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    replay boolean NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX webhook_outbox_due ON webhook_outbox (endpoint_id, replay, next_attempt_at);

CREATE TABLE webhook_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    request_id text NOT NULL,
    type text NOT NULL,
    events integer NOT NULL,
    status integer NOT NULL,
    problem text NOT NULL,
    milliseconds integer NOT NULL,
    answer text NOT NULL
);
CREATE INDEX webhook_attempts_by_endpoint ON webhook_attempts (endpoint_id, id);

-- Events of `stats` in [next place, to_time) that are yet to be queued again.
CREATE TABLE webhook_replays (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    to_time timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    next_event_id text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_replays_by_endpoint ON webhook_replays (endpoint_id, id);

-- Batches of domains with an endpoint for batch.finished.
CREATE TABLE webhook_batches (
    message_id text PRIMARY KEY REFERENCES messages (message_id) ON DELETE CASCADE,
    domain text NOT NULL,
    check_at timestamptz NOT NULL DEFAULT now(),
    empty_since timestamptz, -- no delivery waits
    finished_at timestamptz
);
CREATE INDEX webhook_batches_open ON webhook_batches (check_at) WHERE finished_at IS NULL;

-- The daily check; `broken`: the names of the records that were not as they should be.
CREATE TABLE record_checks (
    domain text PRIMARY KEY REFERENCES domains (domain) ON DELETE CASCADE,
    check_at timestamptz NOT NULL DEFAULT now(),
    checked_at timestamptz,
    broken text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX record_checks_due ON record_checks (check_at);

-- With it `unsubscribe_url` is empty: the link is bump's.
ALTER TABLE messages ADD COLUMN own_unsubscribe boolean NOT NULL DEFAULT false;

-- NOT VALID: stored events have the former types, so the weeks need not be read.
ALTER TABLE stats DROP CONSTRAINT stats_type_check;
ALTER TABLE stats ADD CONSTRAINT stats_type_check CHECK (type IN (
    'accepted', 'rejected', 'delivered', 'bounced', 'error', 'failed', 'opened', 'clicked', 'complained', 'unsubscribed'
)) NOT VALID;
ALTER TABLE suppressions DROP CONSTRAINT suppressions_cause_check;
ALTER TABLE suppressions ADD CONSTRAINT suppressions_cause_check
    CHECK (cause IN ('bounced', 'complained', 'manual', 'unsubscribed'));
