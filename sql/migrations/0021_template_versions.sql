-- Versions of templates. `templates` has the current one, `template_versions` the former ones, which batches that were
-- accepted with them keep.

ALTER TABLE templates ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE messages ADD COLUMN template_version integer NOT NULL DEFAULT 1;

CREATE TABLE template_versions (
    template_id text NOT NULL REFERENCES templates ON DELETE CASCADE,
    version integer NOT NULL,
    title text NOT NULL,
    html text NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (template_id, version)
);
