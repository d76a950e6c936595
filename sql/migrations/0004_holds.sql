-- Mail that is held back for a while, and mail that is called back.

-- What a pause holds is put aside when a claim meets it: its next_attempt_at becomes infinity, out of the claims' way.
CREATE TABLE pauses (
    scope     text NOT NULL CHECK (scope IN ('batch', 'domain', 'destination')),
    spelling  text NOT NULL, -- as rows of the pool have it; the name of a destination has two where it is international
    subject   text NOT NULL, -- the batch, the tenant's domain or the recipients' domain, in its canonical form
    since     timestamptz NOT NULL DEFAULT now(),
    ended_at  timestamptz,   -- set: it holds nothing any more, and what it put aside is being released
    PRIMARY KEY (scope, spelling)
);
INSERT INTO pauses (scope, spelling, subject, since)
SELECT 'batch', message_id, message_id, paused_at FROM messages WHERE paused_at IS NOT NULL;

CREATE FUNCTION pauses_of(message_id text, domain text, email text) RETURNS SETOF pauses
LANGUAGE sql STABLE AS $$
    SELECT * FROM pauses
    WHERE ended_at IS NULL AND (scope, spelling) IN
          (('batch', message_id), ('domain', domain), ('destination', lower(split_part(email, '@', -1))))
$$;

ALTER TABLE messages DROP COLUMN paused_at;
ALTER TABLE messages ADD COLUMN cancelled_at timestamptz;
-- Set: no attempt is made any more. Ended by the api as soon as nobody has it claimed.
ALTER TABLE sending_pool_emails ADD COLUMN cancelled_at timestamptz;

CREATE INDEX sending_pool_aside ON sending_pool_emails (id) WHERE next_attempt_at = 'infinity';
CREATE INDEX sending_pool_cancelled ON sending_pool_emails (id) WHERE cancelled_at IS NOT NULL;
CREATE INDEX messages_by_age ON messages USING brin (created_at);
CREATE INDEX templates_by_age ON templates USING brin (created_at);
