-- Who changed what; and who is logged in to the pages.

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    way text NOT NULL CHECK (way IN ('api', 'page')),
    actor text NOT NULL,
    attribution text NOT NULL,
    peer text NOT NULL,
    action text NOT NULL,
    domain text NOT NULL,
    subject text NOT NULL,
    done boolean NOT NULL DEFAULT false
);
CREATE INDEX audit_by_domain ON audit (domain, id);
CREATE INDEX audit_by_age ON audit USING brin (at);

-- A link logs in once and becomes nothing; a session is a browser that is logged in. `authority` is a digest of the token
-- behind it: with another token in the configuration it is worth nothing.
CREATE TABLE logins (
    secret_sha256 bytea PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('link', 'session')),
    viewer boolean NOT NULL,
    authority bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX logins_by_expiry ON logins (expires_at);
