-- min_reader: 2
--
-- What the control plane keeps beside the placements. Times are seconds since 1970. Ids, states and hashes; no tenant
-- data. Older releases are shut out: they would complete a transfer and leave its keys, accounts and backup as they were.

CREATE TABLE member (
    workspace text COLLATE "C" NOT NULL REFERENCES workspace (id),
    member text COLLATE "C" NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'pending', 'inactive')),
    PRIMARY KEY (workspace, member)
);

CREATE INDEX member_of_workspaces ON member (member);

CREATE TABLE account (
    member text COLLATE "C" NOT NULL,
    region text COLLATE "C" NOT NULL,
    PRIMARY KEY (member, region)
);

CREATE INDEX account_of_region ON account (region, member);

CREATE TABLE transfer_progress (
    transfer text COLLATE "C" PRIMARY KEY REFERENCES transfer (id),
    percent integer NOT NULL CHECK (percent BETWEEN 0 AND 100),
    note text,
    reported_at double precision NOT NULL
);

CREATE INDEX transfer_deadline ON transfer (deadline) WHERE state IN ('locking', 'transferring');

CREATE TABLE backup (
    transfer text COLLATE "C" PRIMARY KEY REFERENCES transfer (id),
    workspace text COLLATE "C" NOT NULL REFERENCES workspace (id),
    region text COLLATE "C" NOT NULL,
    created_at double precision NOT NULL,
    locked_until double precision NOT NULL,
    expired_at double precision
);

CREATE INDEX backup_of_workspace ON backup (workspace);
CREATE INDEX backup_locked ON backup (locked_until) WHERE expired_at IS NULL;

-- Numbered under the feed's row, which every writer holds alone, so in the order of the commits.
CREATE TABLE event (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    type text NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    occurred_at double precision NOT NULL,
    payload text NOT NULL
);

CREATE INDEX event_of_workspace ON event (workspace);

-- `holder` is the random name of one attempt, which nobody else makes before `held_until`. The workspace stands here
-- too, because what is due is found by it: of one destination and workspace only the oldest pending event is.
CREATE TABLE delivery (
    destination text COLLATE "C" NOT NULL,
    event bigint NOT NULL REFERENCES event (number),
    workspace text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts integer NOT NULL,
    due_at double precision NOT NULL,
    first_attempt_at double precision,
    ended_at double precision,
    status integer,
    trouble text,
    holder text,
    held_until double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (destination, event)
);

CREATE INDEX delivery_of_event ON delivery (event);
CREATE INDEX delivery_pending ON delivery (destination, workspace, event) WHERE state = 'pending';

CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at double precision NOT NULL,
    who text COLLATE "C" NOT NULL,
    action text NOT NULL,
    subject text COLLATE "C" NOT NULL,
    before text,
    after text
);

CREATE INDEX audit_of_subject ON audit (subject);

CREATE FUNCTION refuse_to_change_audit() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    RAISE EXCEPTION ''the audit log is append-only'';
END';

CREATE CONSTRAINT TRIGGER audit_is_append_only AFTER UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION refuse_to_change_audit();

CREATE TABLE stored_answer (
    who text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    status integer NOT NULL,
    fields text NOT NULL,
    body text NOT NULL,
    stored_at double precision NOT NULL,
    PRIMARY KEY (who, idempotency_key)
);

CREATE INDEX stored_answer_age ON stored_answer (stored_at);
