-- Certificates that Kannon orders by ACME; the keys are encrypted with the master key.

CREATE TABLE certificates (
    name         text PRIMARY KEY,
    chain        text NOT NULL DEFAULT '',  -- empty: none was issued yet
    private_key  text NOT NULL DEFAULT '',
    not_before   timestamptz NOT NULL DEFAULT 'epoch',
    not_after    timestamptz NOT NULL DEFAULT 'epoch',
    issued_at    timestamptz NOT NULL DEFAULT 'epoch',
    failures     integer NOT NULL DEFAULT 0,
    retry_at     timestamptz NOT NULL DEFAULT 'epoch',
    problem      text NOT NULL DEFAULT ''
);
CREATE TABLE acme_accounts (
    directory    text PRIMARY KEY,
    private_key  text NOT NULL
);
-- What the ACME server asks for: every node's bump answers it.
CREATE TABLE acme_challenges (
    token       text PRIMARY KEY,
    answer      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
