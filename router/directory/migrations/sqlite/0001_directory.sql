-- min_reader: 1
--
-- Ids, hashes and placements; no tenant data. What is deleted stays as a tombstone, because its version must go on
-- counting: a workspace without a region, a subdomain or key that names nothing.

CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    min_reader INTEGER NOT NULL,
    applied_at REAL NOT NULL
) STRICT;

-- The single row under which every writer takes its `seq`, so the feed has no gaps and its order is that of the commits.
-- `floor` is the oldest change still kept. `quarantine_until` is seconds since 1970; 0 in the first generation.
CREATE TABLE feed (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    directory_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    quarantine_until REAL NOT NULL,
    opened INTEGER NOT NULL CHECK (opened IN (0, 1)),
    head INTEGER NOT NULL,
    floor INTEGER NOT NULL
) STRICT;

CREATE TABLE workspace (
    id TEXT PRIMARY KEY,
    region TEXT,
    epoch INTEGER NOT NULL,
    plan TEXT,
    owner TEXT,
    transfer TEXT REFERENCES transfer (id),
    CHECK (region IS NOT NULL OR transfer IS NULL)
) STRICT;

CREATE TABLE subdomain (
    label TEXT PRIMARY KEY,
    workspace TEXT REFERENCES workspace (id),
    seq INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX subdomain_of_workspace ON subdomain (workspace) WHERE workspace IS NOT NULL;

-- The check keeps a key itself from ever being stored in the place of its hash.
CREATE TABLE api_key (
    digest TEXT PRIMARY KEY CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
    workspace TEXT REFERENCES workspace (id),
    region TEXT,
    superseded_by TEXT,
    seq INTEGER NOT NULL,
    CHECK (workspace IS NULL OR region IS NULL)
) STRICT;

CREATE INDEX api_key_of_workspace ON api_key (workspace) WHERE workspace IS NOT NULL;

CREATE TABLE transfer (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL REFERENCES workspace (id),
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('locking', 'transferring', 'completed', 'failed')),
    requested_by TEXT NOT NULL,
    started_at REAL NOT NULL,
    deadline REAL NOT NULL,
    lock_seq INTEGER NOT NULL,
    ended_at REAL,
    reason TEXT
) STRICT;

CREATE INDEX transfer_of_workspace ON transfer (workspace);
CREATE UNIQUE INDEX transfer_running ON transfer (workspace) WHERE state IN ('locking', 'transferring');

-- The change feed: each fact as it was committed at `seq`. Neither a region nor a workspace: the fact is an absence.
-- What a gateway needs of a transfer never changes while it runs, so the row names it instead of repeating it.
CREATE TABLE change (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('workspace', 'subdomain', 'key')),
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    region TEXT,
    workspace TEXT,
    superseded INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)),
    transfer TEXT REFERENCES transfer (id)
) STRICT;

CREATE TABLE registration (
    incarnation TEXT PRIMARY KEY,
    gateway TEXT NOT NULL,
    host TEXT NOT NULL,
    lease REAL NOT NULL,
    generation INTEGER NOT NULL,
    applied INTEGER NOT NULL,
    renewed_at REAL NOT NULL,
    renewals INTEGER NOT NULL
) STRICT;
