-- Secrets are encrypted with a master key that is not in the database; kannon.db.secrets converts what is there.

CREATE TABLE master_keys (
    id          text PRIMARY KEY,  -- made from the key
    active      boolean NOT NULL,  -- encrypts; the others decrypted once, or still do
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX master_keys_one_active ON master_keys (active) WHERE active;

-- As all other secrets, text: an encrypted one is longer than 32 bytes.
ALTER TABLE bounce_keys DROP CONSTRAINT bounce_keys_secret_check;
ALTER TABLE bounce_keys ALTER COLUMN secret TYPE text USING encode(secret, 'base64');
