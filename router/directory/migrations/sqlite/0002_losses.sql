-- min_reader: 2
--
-- What transfers cannot know the end of. Older releases are shut out: they take registrations away without listing
-- them, and a list with holes is worse than none. Without a transfer: kept for one that starts soon.

CREATE TABLE lost_gateway (
    transfer TEXT REFERENCES transfer (id),
    incarnation TEXT NOT NULL,
    gateway TEXT NOT NULL,
    host TEXT NOT NULL,
    ending TEXT NOT NULL CHECK (ending IN ('expired', 'forgotten', 'dead')),
    at REAL NOT NULL
) STRICT;

CREATE UNIQUE INDEX lost_gateway_once ON lost_gateway (coalesce(transfer, ''), incarnation);
CREATE INDEX lost_gateway_recent ON lost_gateway (at);

-- No reference to the workspace: one that was deleted meanwhile must not keep a gateway from saying what it knows.
CREATE TABLE unanswered_request (
    transfer TEXT REFERENCES transfer (id),
    incarnation TEXT NOT NULL,
    request_id TEXT NOT NULL,
    workspace TEXT NOT NULL,
    region TEXT NOT NULL,
    ended_at REAL NOT NULL,
    fault TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX unanswered_request_once
ON unanswered_request (coalesce(transfer, ''), incarnation, request_id, workspace, ended_at);
CREATE INDEX unanswered_request_of_workspace ON unanswered_request (workspace, ended_at);
