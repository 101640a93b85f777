-- min_reader: 3
--
-- What the control plane keeps beside the placements. Times are seconds since 1970. Ids, states and hashes; no tenant
-- data. Older releases are shut out: they would complete a transfer and leave its keys, accounts and backup as they were.

CREATE TABLE member (
    workspace TEXT NOT NULL REFERENCES workspace (id),
    member TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'pending', 'inactive')),
    PRIMARY KEY (workspace, member)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_of_workspaces ON member (member);

CREATE TABLE account (
    member TEXT NOT NULL,
    region TEXT NOT NULL,
    PRIMARY KEY (member, region)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_of_region ON account (region, member);

CREATE TABLE transfer_progress (
    transfer TEXT PRIMARY KEY REFERENCES transfer (id),
    percent INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100),
    note TEXT,
    reported_at REAL NOT NULL
) STRICT;

CREATE INDEX transfer_deadline ON transfer (deadline) WHERE state IN ('locking', 'transferring');

CREATE TABLE backup (
    transfer TEXT PRIMARY KEY REFERENCES transfer (id),
    workspace TEXT NOT NULL REFERENCES workspace (id),
    region TEXT NOT NULL,
    created_at REAL NOT NULL,
    locked_until REAL NOT NULL,
    expired_at REAL
) STRICT;

CREATE INDEX backup_of_workspace ON backup (workspace);
CREATE INDEX backup_locked ON backup (locked_until) WHERE expired_at IS NULL;

CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    workspace TEXT NOT NULL,
    occurred_at REAL NOT NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE INDEX event_of_workspace ON event (workspace);

-- `holder` is the random name of one attempt, which nobody else makes before `held_until`. The workspace stands here
-- too, because what is due is found by it: of one destination and workspace only the oldest pending event is.
CREATE TABLE delivery (
    destination TEXT NOT NULL,
    event INTEGER NOT NULL REFERENCES event (number),
    workspace TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL,
    due_at REAL NOT NULL,
    first_attempt_at REAL,
    ended_at REAL,
    status INTEGER,
    trouble TEXT,
    holder TEXT,
    held_until REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (destination, event)
) STRICT;

CREATE INDEX delivery_of_event ON delivery (event);
CREATE INDEX delivery_pending ON delivery (destination, workspace, event) WHERE state = 'pending';

CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT
) STRICT;

CREATE INDEX audit_of_subject ON audit (subject);

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TABLE stored_answer (
    who TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    fields TEXT NOT NULL,
    body TEXT NOT NULL,
    stored_at REAL NOT NULL,
    PRIMARY KEY (who, idempotency_key)
) STRICT;

CREATE INDEX stored_answer_age ON stored_answer (stored_at);
