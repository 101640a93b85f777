"""The store for many machines: one PostgreSQL database, shared by all gateways and commands.

Theory. Writers take the feed's one row (SELECT ... FOR UPDATE) as the first thing of their transaction and hold it to
the commit, so `seq` has no gaps, its order is that of the commits, and what a writer reads of placements, keys and
transfers cannot change under it: READ COMMITTED is enough, each of its statements sees all that was committed before.
Readers see one snapshot each and wait for nobody. NOTIFY goes with every change and is a wake-up only: who hears
nothing polls, as every renewal does anyway.

Which history an epoch belongs to is asked of the server itself: every writing transaction compares the cluster and the
timeline that it runs on with what stands beside the generation, and whichever finds another one begins a new
generation before it does anything else. A commit that the standbys did not confirm is no commit for whoever asked.

The rooms: `store` (the class) hands functions over a transaction (`lookups`, `registrations`, `losses`, `workspaces`,
`keys`, `transfers`, with `feed` under them) to a `session` (begin, deadline, commit, confirmation) on a `pool` of
connections to a `source` (a URL); `listener` wakes the registration; `errors` tells what the server reports in an
operator's words; `maintenance` makes and opens directories.

This module imports nothing: psycopg comes with the extra `postgres`, and whoever keeps his directory in SQLite need not
have it.
"""
