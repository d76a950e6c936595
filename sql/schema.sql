-- What the migrations make, written by `make schema`: to be read, never applied.
CREATE FUNCTION public.count_events(tenant text, from_time timestamp with time zone, to_time timestamp with time zone) RETURNS TABLE(type text, hour timestamp with time zone, count bigint)
    LANGUAGE sql STABLE
    AS $$
    SELECT a.type, a.hour, a.count - a.anonymous FROM aggregated_stats a
    WHERE a.domain = tenant AND a.count > a.anonymous
      AND a.hour >= date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC')
      AND a.hour < date_trunc('hour', to_time, 'UTC')
      AND date_trunc('week', a.hour, 'UTC') = ANY(ARRAY(
          SELECT right(c.relname, 8)::timestamp AT TIME ZONE 'UTC' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = 'stats'::regclass AND NOT i.inhdetachpending))
    UNION ALL
    SELECT s.type, date_trunc('hour', s.at, 'UTC'), count(*) FROM stats s
    WHERE s.domain = tenant AND s.at >= from_time
      AND s.at < least(to_time, date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC'))
    GROUP BY 1, 2
    UNION ALL
    SELECT s.type, date_trunc('hour', s.at, 'UTC'), count(*) FROM stats s
    WHERE s.domain = tenant AND s.at < to_time
      AND s.at >= greatest(date_trunc('hour', to_time, 'UTC'),
                           date_trunc('hour', from_time + interval '1 hour - 1 microsecond', 'UTC'))
    GROUP BY 1, 2
    $$;
CREATE FUNCTION public.count_tagged_events(tenant text, wanted text, from_time timestamp with time zone, to_time timestamp with time zone) RETURNS TABLE(type text, hour timestamp with time zone, count bigint)
    LANGUAGE sql STABLE
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
CREATE TABLE public.pauses (
    scope text NOT NULL,
    spelling text NOT NULL,
    subject text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    reason text DEFAULT ''::text NOT NULL,
    CONSTRAINT pauses_scope_check CHECK ((scope = ANY (ARRAY['batch'::text, 'domain'::text, 'destination'::text])))
);
CREATE FUNCTION public.pauses_of(message_id text, domain text, email text) RETURNS SETOF public.pauses
    LANGUAGE sql STABLE
    AS $$
    SELECT * FROM pauses
    WHERE ended_at IS NULL AND (scope, spelling) IN
          (('batch', message_id), ('domain', domain), ('destination', lower(split_part(email, '@', -1))))
$$;
CREATE TABLE public.acme_accounts (
    directory text NOT NULL,
    private_key text NOT NULL
);
CREATE TABLE public.acme_challenges (
    token text NOT NULL,
    answer text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.aggregated_stats (
    domain text NOT NULL,
    hour timestamp with time zone NOT NULL,
    type text NOT NULL,
    count bigint NOT NULL,
    anonymous bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.anonymous_events (
    event_id text NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.api_keys (
    id text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    secret_sha256 bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    deactivated_at timestamp with time zone,
    scopes text[] DEFAULT '{send}'::text[] NOT NULL,
    networks cidr[] DEFAULT '{}'::cidr[] NOT NULL,
    per_second integer DEFAULT 0 NOT NULL,
    per_day bigint DEFAULT 0 NOT NULL,
    last_used_at timestamp with time zone,
    last_used_from text DEFAULT ''::text NOT NULL,
    CONSTRAINT api_keys_per_day_check CHECK ((per_day >= 0)),
    CONSTRAINT api_keys_per_second_check CHECK ((per_second >= 0)),
    CONSTRAINT api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ '{send,read,suppressions,templates,webhooks}'::text[])))
);
CREATE TABLE public.attachments (
    message_id text NOT NULL,
    "position" integer NOT NULL,
    filename text NOT NULL,
    content_type text DEFAULT ''::text NOT NULL,
    content_id text DEFAULT ''::text NOT NULL,
    content bytea NOT NULL
);
CREATE TABLE public.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    way text NOT NULL,
    actor text NOT NULL,
    attribution text NOT NULL,
    peer text NOT NULL,
    action text NOT NULL,
    domain text NOT NULL,
    subject text NOT NULL,
    done boolean DEFAULT false NOT NULL,
    CONSTRAINT audit_way_check CHECK ((way = ANY (ARRAY['api'::text, 'page'::text])))
);
ALTER TABLE public.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.batch_outcomes (
    message_id text NOT NULL,
    outcomes integer NOT NULL,
    delivered integer NOT NULL,
    dead integer NOT NULL,
    complaints integer NOT NULL,
    tripped_at timestamp with time zone
)
WITH (fillfactor='50');
CREATE TABLE public.bounce_keys (
    id smallint NOT NULL,
    secret text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.bounce_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.bounce_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.certificates (
    name text NOT NULL,
    chain text DEFAULT ''::text NOT NULL,
    private_key text DEFAULT ''::text NOT NULL,
    not_before timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    not_after timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    issued_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    problem text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.dkim_keys (
    id bigint NOT NULL,
    domain text NOT NULL,
    selector text NOT NULL,
    algorithm text NOT NULL,
    private_pem text NOT NULL,
    public_key text NOT NULL,
    active boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    retired_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT dkim_keys_algorithm_check CHECK ((algorithm = ANY (ARRAY['rsa-sha256'::text, 'ed25519-sha256'::text]))),
    CONSTRAINT dkim_keys_check CHECK (((NOT active) OR ((retired_at IS NULL) AND (deleted_at IS NULL)))),
    CONSTRAINT dkim_keys_check1 CHECK (((deleted_at IS NULL) OR (private_pem = ''::text)))
);
ALTER TABLE public.dkim_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dkim_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.dmarc_results (
    domain text NOT NULL,
    day date NOT NULL,
    source inet NOT NULL,
    key bytea NOT NULL,
    reporter text NOT NULL,
    header_from text NOT NULL,
    dkim boolean NOT NULL,
    spf boolean NOT NULL,
    disposition text NOT NULL,
    results jsonb NOT NULL,
    mails bigint NOT NULL
);
CREATE TABLE public.domains (
    domain text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    opens_ceiling smallint DEFAULT 4 NOT NULL,
    links_ceiling smallint DEFAULT 4 NOT NULL,
    suppression_enabled boolean DEFAULT true NOT NULL,
    per_second integer DEFAULT 0 NOT NULL,
    per_day bigint DEFAULT 0 NOT NULL,
    guard_enabled boolean,
    guard_dead_percent double precision,
    guard_complaint_percent double precision,
    CONSTRAINT domains_guard_complaint_percent_check CHECK (((guard_complaint_percent >= (0)::double precision) AND (guard_complaint_percent <= (100)::double precision))),
    CONSTRAINT domains_guard_dead_percent_check CHECK (((guard_dead_percent >= (0)::double precision) AND (guard_dead_percent <= (100)::double precision))),
    CONSTRAINT domains_links_ceiling_check CHECK (((links_ceiling >= 1) AND (links_ceiling <= 5))),
    CONSTRAINT domains_opens_ceiling_check CHECK (((opens_ceiling >= 1) AND (opens_ceiling <= 5))),
    CONSTRAINT domains_per_day_check CHECK ((per_day >= 0)),
    CONSTRAINT domains_per_second_check CHECK ((per_second >= 0))
);
CREATE TABLE public.first_bounces (
    domain text NOT NULL,
    address text NOT NULL,
    at timestamp with time zone NOT NULL,
    delivery_id bigint NOT NULL
);
CREATE TABLE public.idempotency_keys (
    domain text NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL,
    response bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.logins (
    secret_sha256 bytea NOT NULL,
    kind text NOT NULL,
    viewer boolean NOT NULL,
    authority bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT logins_kind_check CHECK ((kind = ANY (ARRAY['link'::text, 'session'::text])))
);
CREATE TABLE public.master_keys (
    id text NOT NULL,
    active boolean NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.messages (
    message_id text NOT NULL,
    domain text NOT NULL,
    template_id text,
    sender_email text NOT NULL,
    sender_alias text DEFAULT ''::text NOT NULL,
    subject text NOT NULL,
    header_to text[] DEFAULT '{}'::text[] NOT NULL,
    header_cc text[] DEFAULT '{}'::text[] NOT NULL,
    global_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    unsubscribe_url text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    scheduled_at timestamp with time zone NOT NULL,
    accepted_count integer NOT NULL,
    rejected_count integer NOT NULL,
    cancelled_at timestamp with time zone,
    header_reply_to text[] DEFAULT '{}'::text[] NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    header_fields jsonb DEFAULT '[]'::jsonb NOT NULL,
    raw bytea,
    tag text DEFAULT ''::text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    own_unsubscribe boolean DEFAULT false NOT NULL,
    require_tls boolean DEFAULT false NOT NULL,
    template_version integer DEFAULT 1 NOT NULL
);
CREATE TABLE public.quota_usage (
    subject text NOT NULL,
    day date DEFAULT '-infinity'::date NOT NULL,
    used bigint DEFAULT 0 NOT NULL,
    busy_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.received_reports (
    domain text NOT NULL,
    kind text NOT NULL,
    reporter text NOT NULL,
    report_id text NOT NULL,
    begins_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT received_reports_kind_check CHECK ((kind = ANY (ARRAY['dmarc'::text, 'tls'::text])))
);
CREATE TABLE public.record_checks (
    domain text NOT NULL,
    check_at timestamp with time zone DEFAULT now() NOT NULL,
    checked_at timestamp with time zone,
    broken text[] DEFAULT '{}'::text[] NOT NULL
);
CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.sending_pool_emails (
    id bigint NOT NULL,
    message_id text NOT NULL,
    domain text NOT NULL,
    email text NOT NULL,
    fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    opens smallint NOT NULL,
    links smallint NOT NULL,
    secret uuid DEFAULT gen_random_uuid() NOT NULL,
    state text DEFAULT 'to_validate'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    turn integer DEFAULT 0 NOT NULL,
    last_code integer DEFAULT 0 NOT NULL,
    last_stage text DEFAULT ''::text NOT NULL,
    last_host text DEFAULT ''::text NOT NULL,
    last_text text DEFAULT ''::text NOT NULL,
    cancelled_at timestamp with time zone,
    answer_code integer DEFAULT 0 NOT NULL,
    answer_text text DEFAULT ''::text NOT NULL,
    CONSTRAINT sending_pool_emails_check CHECK (((claimed_at IS NOT NULL) = (state = ANY (ARRAY['validating'::text, 'sending'::text])))),
    CONSTRAINT sending_pool_emails_links_check CHECK (((links >= 1) AND (links <= 5))),
    CONSTRAINT sending_pool_emails_opens_check CHECK (((opens >= 1) AND (opens <= 5))),
    CONSTRAINT sending_pool_emails_state_check CHECK ((state = ANY (ARRAY['to_validate'::text, 'validating'::text, 'scheduled'::text, 'sending'::text])))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');
ALTER TABLE public.sending_pool_emails ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sending_pool_emails_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.stats (
    event_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    type text NOT NULL,
    domain text NOT NULL,
    message_id text NOT NULL,
    email text NOT NULL,
    delivery_id bigint DEFAULT 0 NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    tracking_mode smallint DEFAULT 0 NOT NULL,
    permanent boolean DEFAULT false NOT NULL,
    code integer DEFAULT 0 NOT NULL,
    enhanced_status text DEFAULT ''::text NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    stage text DEFAULT ''::text NOT NULL,
    host text DEFAULT ''::text NOT NULL,
    tls text DEFAULT ''::text NOT NULL,
    retry_after_seconds integer DEFAULT 0 NOT NULL,
    user_agent text DEFAULT ''::text NOT NULL,
    ip text DEFAULT ''::text NOT NULL,
    url text DEFAULT ''::text NOT NULL,
    suspected_machine boolean DEFAULT false NOT NULL,
    tag text DEFAULT ''::text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL
)
PARTITION BY RANGE (at);
CREATE TABLE public.stats_keys (
    kid text NOT NULL,
    private_pem text NOT NULL,
    public_pem text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sign_until timestamp with time zone NOT NULL,
    verify_until timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.stats_position
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.suppressions (
    domain text NOT NULL,
    address text NOT NULL,
    email text NOT NULL,
    cause text NOT NULL,
    since timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    event_id text DEFAULT ''::text NOT NULL,
    message_id text DEFAULT ''::text NOT NULL,
    delivery_id bigint DEFAULT 0 NOT NULL,
    code integer DEFAULT 0 NOT NULL,
    enhanced_status text DEFAULT ''::text NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    host text DEFAULT ''::text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    tag text DEFAULT ''::text NOT NULL,
    CONSTRAINT suppressions_cause_check CHECK ((cause = ANY (ARRAY['bounced'::text, 'complained'::text, 'manual'::text, 'unsubscribed'::text])))
);
CREATE TABLE public.tag_stats (
    domain text NOT NULL,
    tag text NOT NULL,
    hour timestamp with time zone NOT NULL,
    type text NOT NULL,
    count bigint NOT NULL,
    anonymous bigint NOT NULL,
    CONSTRAINT tag_stats_tag_check CHECK ((tag <> ''::text))
);
CREATE TABLE public.template_versions (
    template_id text NOT NULL,
    version integer NOT NULL,
    title text NOT NULL,
    html text NOT NULL,
    saved_at timestamp with time zone NOT NULL
);
CREATE TABLE public.templates (
    template_id text NOT NULL,
    domain text NOT NULL,
    type text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    html text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    engine text DEFAULT 'plain'::text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT templates_engine_check CHECK ((engine = ANY (ARRAY['plain'::text, 'jinja'::text]))),
    CONSTRAINT templates_type_check CHECK ((type = ANY (ARRAY['template'::text, 'transient'::text])))
);
CREATE TABLE public.tls_reports (
    day date NOT NULL,
    domain text NOT NULL,
    state text DEFAULT 'due'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    delivered text[] DEFAULT '{}'::text[] NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    CONSTRAINT tls_reports_state_check CHECK ((state = ANY (ARRAY['due'::text, 'sent'::text, 'unwanted'::text, 'failed'::text])))
);
CREATE TABLE public.tls_result_pages (
    id text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.tls_results (
    day date NOT NULL,
    domain text NOT NULL,
    key bytea NOT NULL,
    result jsonb NOT NULL,
    sessions bigint NOT NULL
);
CREATE TABLE public.tls_results_received (
    domain text NOT NULL,
    day date NOT NULL,
    key bytea NOT NULL,
    reporter text NOT NULL,
    policy text NOT NULL,
    failure text NOT NULL,
    host text NOT NULL,
    sender text NOT NULL,
    reason text NOT NULL,
    sessions bigint NOT NULL
);
CREATE TABLE public.webhook_attempts (
    id bigint NOT NULL,
    endpoint_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    request_id text NOT NULL,
    type text NOT NULL,
    events integer NOT NULL,
    status integer NOT NULL,
    problem text NOT NULL,
    milliseconds integer NOT NULL,
    answer text NOT NULL
);
ALTER TABLE public.webhook_attempts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_attempts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.webhook_batches (
    message_id text NOT NULL,
    domain text NOT NULL,
    check_at timestamp with time zone DEFAULT now() NOT NULL,
    empty_since timestamp with time zone,
    finished_at timestamp with time zone
);
CREATE TABLE public.webhook_endpoints (
    id text NOT NULL,
    domain text NOT NULL,
    url text NOT NULL,
    types text[] DEFAULT '{}'::text[] NOT NULL,
    max_batch integer DEFAULT 1 NOT NULL,
    secret text NOT NULL,
    previous_secret text DEFAULT ''::text NOT NULL,
    previous_until timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    disabled_at timestamp with time zone,
    disabled_reason text DEFAULT ''::text NOT NULL,
    last_success_at timestamp with time zone,
    failing_since timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    rest_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    given_up bigint DEFAULT 0 NOT NULL,
    leased_by text DEFAULT ''::text NOT NULL,
    leased_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT webhook_endpoints_check CHECK ((enabled = (disabled_at IS NULL))),
    CONSTRAINT webhook_endpoints_max_batch_check CHECK (((max_batch >= 1) AND (max_batch <= 100)))
)
WITH (fillfactor='50');
CREATE TABLE public.webhook_outbox (
    id bigint NOT NULL,
    endpoint_id text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    at timestamp with time zone NOT NULL,
    data jsonb NOT NULL,
    stored_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    replay boolean DEFAULT false NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');
ALTER TABLE public.webhook_outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.webhook_replays (
    id bigint NOT NULL,
    endpoint_id text NOT NULL,
    to_time timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    next_event_id text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.webhook_replays ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_replays_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY public.acme_accounts
    ADD CONSTRAINT acme_accounts_pkey PRIMARY KEY (directory);
ALTER TABLE ONLY public.acme_challenges
    ADD CONSTRAINT acme_challenges_pkey PRIMARY KEY (token);
ALTER TABLE ONLY public.aggregated_stats
    ADD CONSTRAINT aggregated_stats_pkey PRIMARY KEY (domain, hour, type);
ALTER TABLE ONLY public.anonymous_events
    ADD CONSTRAINT anonymous_events_pkey PRIMARY KEY (event_id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_secret_sha256_key UNIQUE (secret_sha256);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT attachments_pkey PRIMARY KEY (message_id, "position");
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.batch_outcomes
    ADD CONSTRAINT batch_outcomes_pkey PRIMARY KEY (message_id);
ALTER TABLE ONLY public.bounce_keys
    ADD CONSTRAINT bounce_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.dkim_keys
    ADD CONSTRAINT dkim_keys_domain_selector_key UNIQUE (domain, selector);
ALTER TABLE ONLY public.dkim_keys
    ADD CONSTRAINT dkim_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.dmarc_results
    ADD CONSTRAINT dmarc_results_pkey PRIMARY KEY (domain, day, source, key);
ALTER TABLE ONLY public.domains
    ADD CONSTRAINT domains_pkey PRIMARY KEY (domain);
ALTER TABLE ONLY public.first_bounces
    ADD CONSTRAINT first_bounces_pkey PRIMARY KEY (domain, address);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (domain, key);
ALTER TABLE ONLY public.logins
    ADD CONSTRAINT logins_pkey PRIMARY KEY (secret_sha256);
ALTER TABLE ONLY public.master_keys
    ADD CONSTRAINT master_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (message_id);
ALTER TABLE ONLY public.pauses
    ADD CONSTRAINT pauses_pkey PRIMARY KEY (scope, spelling);
ALTER TABLE ONLY public.quota_usage
    ADD CONSTRAINT quota_usage_pkey PRIMARY KEY (subject);
ALTER TABLE ONLY public.received_reports
    ADD CONSTRAINT received_reports_pkey PRIMARY KEY (domain, kind, reporter, report_id);
ALTER TABLE ONLY public.record_checks
    ADD CONSTRAINT record_checks_pkey PRIMARY KEY (domain);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.sending_pool_emails
    ADD CONSTRAINT sending_pool_emails_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.stats_keys
    ADD CONSTRAINT stats_keys_pkey PRIMARY KEY (kid);
ALTER TABLE ONLY public.stats
    ADD CONSTRAINT stats_pkey PRIMARY KEY (event_id, at);
ALTER TABLE public.stats
    ADD CONSTRAINT stats_type_check CHECK ((type = ANY (ARRAY['accepted'::text, 'rejected'::text, 'delivered'::text, 'bounced'::text, 'error'::text, 'failed'::text, 'opened'::text, 'clicked'::text, 'complained'::text, 'unsubscribed'::text]))) NOT VALID;
ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (domain, address, tag);
ALTER TABLE ONLY public.tag_stats
    ADD CONSTRAINT tag_stats_pkey PRIMARY KEY (domain, tag, hour, type);
ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_pkey PRIMARY KEY (template_id, version);
ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (template_id);
ALTER TABLE ONLY public.tls_reports
    ADD CONSTRAINT tls_reports_pkey PRIMARY KEY (day, domain);
ALTER TABLE ONLY public.tls_result_pages
    ADD CONSTRAINT tls_result_pages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tls_results
    ADD CONSTRAINT tls_results_pkey PRIMARY KEY (day, domain, key);
ALTER TABLE ONLY public.tls_results_received
    ADD CONSTRAINT tls_results_received_pkey PRIMARY KEY (domain, day, key);
ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT webhook_attempts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_batches
    ADD CONSTRAINT webhook_batches_pkey PRIMARY KEY (message_id);
ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_outbox
    ADD CONSTRAINT webhook_outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_replays
    ADD CONSTRAINT webhook_replays_pkey PRIMARY KEY (id);
CREATE INDEX anonymous_events_by_time ON public.anonymous_events USING btree (at);
CREATE INDEX api_keys_by_domain ON public.api_keys USING btree (domain, created_at DESC, id);
CREATE INDEX audit_by_age ON public.audit USING brin (at);
CREATE INDEX audit_by_domain ON public.audit USING btree (domain, id);
CREATE UNIQUE INDEX dkim_keys_one_active ON public.dkim_keys USING btree (domain, algorithm) WHERE active;
CREATE INDEX first_bounces_by_age ON public.first_bounces USING btree (at);
CREATE INDEX idempotency_keys_by_time ON public.idempotency_keys USING btree (created_at);
CREATE INDEX logins_by_expiry ON public.logins USING btree (expires_at);
CREATE UNIQUE INDEX master_keys_one_active ON public.master_keys USING btree (active) WHERE active;
CREATE INDEX messages_by_age ON public.messages USING brin (created_at);
CREATE INDEX messages_by_domain ON public.messages USING btree (domain, created_at DESC, message_id);
CREATE INDEX messages_by_tag ON public.messages USING btree (domain, tag, created_at DESC, message_id) WHERE (tag <> ''::text);
CREATE INDEX messages_by_template ON public.messages USING btree (template_id);
CREATE INDEX messages_labelled ON public.messages USING btree (message_id) WHERE ((tag <> ''::text) OR (metadata <> '{}'::jsonb));
CREATE INDEX messages_large ON public.messages USING btree (message_id) WHERE (accepted_count >= 20);
CREATE INDEX received_reports_by_age ON public.received_reports USING btree (received_at);
CREATE INDEX record_checks_due ON public.record_checks USING btree (check_at);
CREATE INDEX sending_pool_aside ON public.sending_pool_emails USING btree (id) WHERE (next_attempt_at = 'infinity'::timestamp with time zone);
CREATE INDEX sending_pool_by_email ON public.sending_pool_emails USING btree (lower(email));
CREATE INDEX sending_pool_by_message ON public.sending_pool_emails USING btree (message_id);
CREATE INDEX sending_pool_cancelled ON public.sending_pool_emails USING btree (id) WHERE (cancelled_at IS NOT NULL);
CREATE INDEX sending_pool_claimed ON public.sending_pool_emails USING btree (state, claimed_at) WHERE (state = ANY (ARRAY['validating'::text, 'sending'::text]));
CREATE INDEX sending_pool_due ON public.sending_pool_emails USING btree (state, domain, next_attempt_at) WHERE (state = ANY (ARRAY['to_validate'::text, 'scheduled'::text]));
CREATE INDEX sending_pool_oldest ON public.sending_pool_emails USING btree (next_attempt_at) WHERE 
CASE
    WHEN ((cancelled_at IS NULL) AND (next_attempt_at < 'infinity'::timestamp with time zone)) THEN (state = 'scheduled'::text)
    ELSE false
END;
CREATE INDEX stats_by_delivery ON ONLY public.stats USING btree (delivery_id) WHERE (delivery_id <> 0);
CREATE INDEX stats_by_domain ON ONLY public.stats USING btree (domain, at DESC, event_id DESC);
CREATE INDEX stats_by_domain_position ON ONLY public.stats USING btree (domain, "position") WHERE ("position" > 0);
CREATE INDEX stats_by_email ON ONLY public.stats USING brin (lower(email) text_bloom_ops (n_distinct_per_range='1500', false_positive_rate='0.001')) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX stats_by_message ON ONLY public.stats USING btree (message_id, at);
CREATE INDEX stats_by_message_position ON ONLY public.stats USING btree (message_id, "position") WHERE ("position" > 0);
CREATE INDEX stats_by_position ON ONLY public.stats USING btree ("position") WHERE ("position" > 0);
CREATE INDEX stats_by_tag ON ONLY public.stats USING btree (domain, tag, at DESC, event_id DESC) WHERE (tag <> ''::text);
CREATE INDEX stats_by_type ON ONLY public.stats USING btree (domain, type, at DESC, event_id DESC) WHERE (type <> ALL (ARRAY['accepted'::text, 'delivered'::text]));
CREATE INDEX suppressions_by_expiry ON public.suppressions USING btree (expires_at) WHERE (expires_at < 'infinity'::timestamp with time zone);
CREATE INDEX templates_by_age ON public.templates USING brin (created_at);
CREATE INDEX templates_by_domain ON public.templates USING btree (domain, created_at, template_id) WHERE (type = 'template'::text);
CREATE INDEX tls_reports_due ON public.tls_reports USING btree (next_attempt_at) WHERE (state = 'due'::text);
CREATE INDEX tls_result_pages_by_age ON public.tls_result_pages USING btree (at);
CREATE INDEX webhook_attempts_by_endpoint ON public.webhook_attempts USING btree (endpoint_id, id);
CREATE INDEX webhook_batches_open ON public.webhook_batches USING btree (check_at) WHERE (finished_at IS NULL);
CREATE INDEX webhook_endpoints_by_domain ON public.webhook_endpoints USING btree (domain);
CREATE INDEX webhook_outbox_due ON public.webhook_outbox USING btree (endpoint_id, replay, next_attempt_at);
CREATE INDEX webhook_replays_by_endpoint ON public.webhook_replays USING btree (endpoint_id, id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT attachments_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(message_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.batch_outcomes
    ADD CONSTRAINT batch_outcomes_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(message_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.dkim_keys
    ADD CONSTRAINT dkim_keys_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.dmarc_results
    ADD CONSTRAINT dmarc_results_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.first_bounces
    ADD CONSTRAINT first_bounces_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(template_id) ON DELETE SET NULL;
ALTER TABLE ONLY public.received_reports
    ADD CONSTRAINT received_reports_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.record_checks
    ADD CONSTRAINT record_checks_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.template_versions
    ADD CONSTRAINT template_versions_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(template_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.tls_results_received
    ADD CONSTRAINT tls_results_received_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT webhook_attempts_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.webhook_endpoints(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.webhook_batches
    ADD CONSTRAINT webhook_batches_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(message_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_domain_fkey FOREIGN KEY (domain) REFERENCES public.domains(domain) ON DELETE CASCADE;
ALTER TABLE ONLY public.webhook_replays
    ADD CONSTRAINT webhook_replays_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.webhook_endpoints(id) ON DELETE CASCADE;
