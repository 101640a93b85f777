"""Where placements live: the store protocol and its adapters, the cached directory, the feed, registration, ledger."""
