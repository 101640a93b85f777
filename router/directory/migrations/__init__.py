"""The schemas of the stores, one folder a dialect, as numbered SQL files: `0001_directory.sql`.

The law of the room: a file that was released never changes; the next number is the next change. The first line of each
says `-- min_reader: N`, the oldest schema number whose release can still work on a database after this file. A change
that only adds (a table, a column with a default) keeps it, so that gateways can be upgraded and rolled back one by one;
a change that an older release would misread raises it, and older releases then refuse the database.
"""
