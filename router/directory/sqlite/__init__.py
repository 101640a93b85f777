"""The embedded store: one SQLite file, shared by all processes of one machine.

Theory. Writers take the file's write lock at the begin of their transaction (BEGIN IMMEDIATE) and count the feed's one
row under it, so `seq` has no gaps and its order is that of the commits. Readers see one snapshot each and wait for
nobody (WAL). What was committed is on the disk (synchronous=FULL). The file is never made in passing, only by
`migrate`: a mistyped path must not become an empty directory in which nobody is known.

The rooms: `store` (the class) hands plain functions over a transaction (`lookups`, `registrations`, `losses`,
`workspaces`, `keys`, `transfers`, with `feed` under them) to a `lane` (one thread, one connection), which opens the
`file` and has its `errors` told in an operator's words; `maintenance` makes and opens directories.
"""

from router.directory.sqlite.maintenance import migrate
from router.directory.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "migrate"]
