-- The guard: large batches are counted, and paused where too many addresses are dead or too many recipients complain.

-- Of domains that differ from the configuration.
ALTER TABLE domains
    ADD COLUMN guard_enabled boolean,
    ADD COLUMN guard_dead_percent float8 CHECK (guard_dead_percent BETWEEN 0 AND 100),
    ADD COLUMN guard_complaint_percent float8 CHECK (guard_complaint_percent BETWEEN 0 AND 100);

-- Empty: an operator's pause.
ALTER TABLE pauses ADD COLUMN reason text NOT NULL DEFAULT '';

-- What the deliveries of a batch have come to. Smaller batches have no row: kannon.mail.guard.SMALLEST_BATCH.
CREATE TABLE batch_outcomes (
    message_id   text PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
    outcomes     integer NOT NULL,
    delivered    integer NOT NULL,
    dead         integer NOT NULL, -- hard bounces
    complaints   integer NOT NULL,
    tripped_at   timestamptz -- once: a batch that was resumed is not paused again
) WITH (fillfactor = 50);
CREATE INDEX messages_large ON messages (message_id) WHERE accepted_count >= 20;
