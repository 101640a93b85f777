"""Region Router: a tenant-aware gateway for a SaaS with data regions.

The map of the rooms is in the README ("to change X, open Y"). `model` and `routing` are pure; `directory`
and `telemetry` are adapters; `gateway` and `control` are the application; `settings`, `runtime`, `demo` and `cli` are
edges.
"""

__version__ = "0.1.0"
