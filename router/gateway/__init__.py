"""The data plane: from a client's bytes to a region's and back. `handler` is the walk, `exchange` the state table."""
