-- min_reader: 1
--
-- Ids, hashes and placements; no tenant data. What is deleted stays as a tombstone, because its version must go on
-- counting: a workspace without a region, a subdomain or key that names nothing. All of it is in the schema
-- `region_router`. Names are compared byte by byte, whatever the database's collation. Times are seconds since 1970.

CREATE TABLE schema_version (
    version integer PRIMARY KEY,
    min_reader integer NOT NULL,
    applied_at double precision NOT NULL
);

-- The single row under whose lock every writer takes its `seq`, so the feed has no gaps and its order is that of the
-- commits. `floor` is the oldest change still kept. `quarantine_until` is 0 in the first generation. `system` and
-- `timeline` are the history of the server that the generation belongs to; null is what could not be asked.
CREATE TABLE feed (
    single integer PRIMARY KEY CHECK (single = 1),
    directory_id text NOT NULL,
    generation bigint NOT NULL,
    quarantine_until double precision NOT NULL,
    opened boolean NOT NULL,
    head bigint NOT NULL,
    floor bigint NOT NULL,
    system text,
    timeline text
) WITH (fillfactor = 10);

-- The history that a transaction is running on: the identifier of the cluster, and the timeline of the log that it
-- writes, which a promotion and a recovery to a point in time change. Null is what may not be asked here.
CREATE FUNCTION history(OUT system text, OUT timeline text) LANGUAGE plpgsql AS '
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN;
    END IF;
    BEGIN
        SELECT system_identifier::text INTO system FROM pg_control_system();
    EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
        system := NULL;
    END;
    BEGIN
        timeline := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
    EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
        timeline := NULL;
    END;
END';

CREATE TABLE workspace (
    id text COLLATE "C" PRIMARY KEY,
    region text,
    epoch bigint NOT NULL,
    plan text,
    owner text,
    transfer text COLLATE "C",
    CHECK (region IS NOT NULL OR transfer IS NULL)
);

CREATE TABLE subdomain (
    label text COLLATE "C" PRIMARY KEY,
    workspace text COLLATE "C" REFERENCES workspace (id),
    seq bigint NOT NULL
);

CREATE UNIQUE INDEX subdomain_of_workspace ON subdomain (workspace) WHERE workspace IS NOT NULL;

-- The check keeps a key itself from ever being stored in the place of its hash.
CREATE TABLE api_key (
    digest text COLLATE "C" PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    workspace text COLLATE "C" REFERENCES workspace (id),
    region text,
    superseded_by text,
    seq bigint NOT NULL,
    CHECK (workspace IS NULL OR region IS NULL)
);

CREATE INDEX api_key_of_workspace ON api_key (workspace) WHERE workspace IS NOT NULL;

CREATE TABLE transfer (
    id text COLLATE "C" PRIMARY KEY,
    workspace text COLLATE "C" NOT NULL REFERENCES workspace (id),
    source text NOT NULL,
    destination text NOT NULL,
    state text NOT NULL CHECK (state IN ('locking', 'transferring', 'completed', 'failed')),
    requested_by text NOT NULL,
    started_at double precision NOT NULL,
    deadline double precision NOT NULL,
    lock_seq bigint NOT NULL,
    ended_at double precision,
    reason text
);

CREATE INDEX transfer_of_workspace ON transfer (workspace);
CREATE UNIQUE INDEX transfer_running ON transfer (workspace) WHERE state IN ('locking', 'transferring');

ALTER TABLE workspace ADD FOREIGN KEY (transfer) REFERENCES transfer (id);

-- The change feed: each fact as it was committed at `seq`. Neither a region nor a workspace: the fact is an absence.
-- What a gateway needs of a transfer never changes while it runs, so the row names it instead of repeating it.
CREATE TABLE change (
    seq bigint PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('workspace', 'subdomain', 'key')),
    name text NOT NULL,
    number bigint NOT NULL,
    region text,
    workspace text,
    superseded boolean NOT NULL DEFAULT false,
    transfer text COLLATE "C" REFERENCES transfer (id)
);

-- Renewed several times a second: room on each page keeps the renewals off the index.
CREATE TABLE registration (
    incarnation text COLLATE "C" PRIMARY KEY,
    gateway text NOT NULL,
    host text NOT NULL,
    lease double precision NOT NULL,
    generation bigint NOT NULL,
    applied bigint NOT NULL,
    renewed_at double precision NOT NULL,
    renewals bigint NOT NULL
) WITH (fillfactor = 50);

-- What transfers cannot know the end of. Without a transfer: kept for one that starts soon.
CREATE TABLE lost_gateway (
    transfer text COLLATE "C" REFERENCES transfer (id),
    incarnation text COLLATE "C" NOT NULL,
    gateway text NOT NULL,
    host text NOT NULL,
    ending text NOT NULL CHECK (ending IN ('expired', 'forgotten', 'dead')),
    at double precision NOT NULL
);

CREATE UNIQUE INDEX lost_gateway_once ON lost_gateway (coalesce(transfer, ''), incarnation);
CREATE INDEX lost_gateway_recent ON lost_gateway (at);

-- No reference to the workspace: one that was deleted meanwhile must not keep a gateway from saying what it knows.
CREATE TABLE unanswered_request (
    transfer text COLLATE "C" REFERENCES transfer (id),
    incarnation text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    region text NOT NULL,
    ended_at double precision NOT NULL,
    fault text NOT NULL
);

CREATE UNIQUE INDEX unanswered_request_once
ON unanswered_request (coalesce(transfer, ''), incarnation, request_id, workspace, ended_at);
CREATE INDEX unanswered_request_of_workspace ON unanswered_request (workspace, ended_at);
