-- A suppression of one tag of the domain, as an unsubscribe of a tagged mail makes it; empty: of all its mail.

ALTER TABLE suppressions ADD COLUMN tag text NOT NULL DEFAULT '';
ALTER TABLE suppressions DROP CONSTRAINT suppressions_pkey;
ALTER TABLE suppressions ADD PRIMARY KEY (domain, address, tag);
