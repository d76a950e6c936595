-- The rest of a message that a send may have, whole messages, and the labels of a batch, which its events repeat.

ALTER TABLE messages
    ADD COLUMN text text NOT NULL DEFAULT '', -- the text part; '': made from the HTML
    ADD COLUMN header_fields jsonb NOT NULL DEFAULT '[]', -- [[name, value], …]
    ADD COLUMN raw bytea, -- a complete message in place of a template
    ADD COLUMN tag text NOT NULL DEFAULT '',
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}';

-- What the storing of events looks up: empty where no batch has labels, so it costs those nothing.
CREATE INDEX messages_labelled ON messages (message_id) WHERE tag <> '' OR metadata <> '{}';
CREATE INDEX messages_by_tag ON messages (domain, tag, created_at DESC, message_id) WHERE tag <> '';

ALTER TABLE stats
    ADD COLUMN tag text NOT NULL DEFAULT '',
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}';
CREATE INDEX stats_by_tag ON stats (domain, tag, at DESC, event_id DESC) WHERE tag <> '';

-- As aggregated_stats, for the events of batches that have a tag.
CREATE TABLE tag_stats (
    domain text NOT NULL,
    tag text NOT NULL CHECK (tag <> ''),
    hour timestamptz NOT NULL,
    type text NOT NULL,
    count bigint NOT NULL,
    anonymous bigint NOT NULL,
    PRIMARY KEY (domain, tag, hour, type)
);

-- As count_events, for one tag.
CREATE FUNCTION count_tagged_events(tenant text, wanted text, from_time timestamptz, to_time timestamptz)
    RETURNS TABLE (type text, hour timestamptz, count bigint) LANGUAGE sql STABLE
    AS $$
    SELECT a.type, a.hour, a.count - a.anonymous FROM tag_stats a
    WHERE a.domain = tenant AND a.tag = wanted AND a.count > a.anonymous
      AND a.hour >= date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC')
      AND a.hour < date_trunc('hour', to_time, 'UTC')
      AND date_trunc('week', a.hour, 'UTC') = ANY(ARRAY(
          SELECT right(c.relname, 8)::timestamp AT TIME ZONE 'UTC' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = 'stats'::regclass AND NOT i.inhdetachpending))
    UNION ALL
    SELECT s.type, date_trunc('hour', s.at, 'UTC'), count(*) FROM stats s
    WHERE s.domain = tenant AND s.tag = wanted AND s.tag <> '' AND s.at >= from_time
      AND s.at < least(to_time, date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC'))
    GROUP BY 1, 2
    UNION ALL
    SELECT s.type, date_trunc('hour', s.at, 'UTC'), count(*) FROM stats s
    WHERE s.domain = tenant AND s.tag = wanted AND s.tag <> '' AND s.at < to_time
      AND s.at >= greatest(date_trunc('hour', to_time, 'UTC'),
                           date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC'))
    GROUP BY 1, 2
    $$;
