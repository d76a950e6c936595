-- The mailboxes of Reply-To, as given.

ALTER TABLE messages ADD COLUMN header_reply_to text[] NOT NULL DEFAULT '{}';
