"""From a request's head and a placement to a decision. Pure: no await, no I/O, the standard library only."""
