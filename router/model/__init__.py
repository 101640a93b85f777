"""The nouns of the product and their laws. Pure: no I/O, no clock, the standard library only."""
