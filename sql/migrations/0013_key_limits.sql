-- What an API key may do, from where and how much; the quotas of keys and domains; the order in which events are stored.

-- A limit of 0 is none. A key without networks may be used from everywhere.
ALTER TABLE api_keys
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{send}'
        CHECK (cardinality(scopes) > 0 AND scopes <@ '{send,read,suppressions,templates,webhooks}'::text[]),
    ADD COLUMN networks cidr[] NOT NULL DEFAULT '{}',
    ADD COLUMN per_second integer NOT NULL DEFAULT 0 CHECK (per_second >= 0),
    ADD COLUMN per_day bigint NOT NULL DEFAULT 0 CHECK (per_day >= 0),
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN last_used_from text NOT NULL DEFAULT '';

ALTER TABLE domains
    ADD COLUMN per_second integer NOT NULL DEFAULT 0 CHECK (per_second >= 0),
    ADD COLUMN per_day bigint NOT NULL DEFAULT 0 CHECK (per_day >= 0);

-- Mails that processes have taken. `subject` is the id of a key or a domain; `used` counts those of `day` (UTC);
-- `busy_until` is when the allowance for a second is whole again.
CREATE TABLE quota_usage (
    subject text PRIMARY KEY,
    day date NOT NULL DEFAULT '-infinity',
    used bigint NOT NULL DEFAULT 0,
    busy_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

-- The order in which events are stored. It is drawn under the lock of lock_stats, so a higher position is never visible
-- before a lower one. Events of earlier versions have 0.
CREATE SEQUENCE stats_position;
ALTER TABLE stats ADD COLUMN position bigint NOT NULL DEFAULT 0;
CREATE INDEX stats_by_position ON stats (position) WHERE position > 0;
CREATE INDEX stats_by_domain_position ON stats (domain, position) WHERE position > 0;
CREATE INDEX stats_by_message_position ON stats (message_id, position) WHERE position > 0;
