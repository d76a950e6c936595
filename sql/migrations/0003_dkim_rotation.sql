-- A DKIM key's end: its private key is gone, the row stays so that its selector is never used again.

ALTER TABLE dkim_keys ADD COLUMN deleted_at timestamptz;
ALTER TABLE dkim_keys ADD CHECK (NOT active OR (retired_at IS NULL AND deleted_at IS NULL));
ALTER TABLE dkim_keys ADD CHECK (deleted_at IS NULL OR private_pem = '');
