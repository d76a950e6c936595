-- Lists of events by type, and to an address.

-- Accepted and delivered are most of all events, so the way by domain finds them; this index costs the others only.
CREATE INDEX stats_by_type ON stats (domain, type, at DESC, event_id DESC) WHERE type NOT IN ('accepted', 'delivered');

-- A filter for each 32 pages: it costs an insert almost nothing, and an address is on a few of them. The newest pages,
-- which have none before the next vacuum, are read. 32 pages hold about 1,300 events.
CREATE INDEX stats_by_email ON stats
    USING brin (lower(email) text_bloom_ops(n_distinct_per_range = 1500, false_positive_rate = 0.001))
    WITH (pages_per_range = 32, autosummarize = on);
