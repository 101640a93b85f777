"""Wiring and lifetimes: how the rooms become a running process, and how it ends."""
