"""A gateway with a fault: it says that it has applied a lock while requests from before that are still in flight.

python -m tests.chaos.broken_gateway serve --config FILE
"""

from __future__ import annotations

from router.cli import main
from router.directory.ledger import Ledger


class NoDrain(Ledger):
    """Nobody waits for what is in flight."""

    def applied(self, position: int) -> int:
        """All that was read of the feed."""
        return position


if __name__ == "__main__":
    # A class that is compiled could not be broken so; the gateways of a run are the plain ones.
    Ledger.applied = NoDrain.applied  # type: ignore[method-assign, assignment] # the fault
    main()
