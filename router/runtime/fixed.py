"""What can't change while the process runs: what it has opened, and what its registration rests on.

A gateway's row in the directory says for how long its silence must be waited for. As long as that row stands nothing
may make the gateway trust its cache for longer, and so a lease changes with the next process only. A gateway that
observes has requests in flight that no lock knows of, and so the next process only can enforce locks.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from router.directory.options import DirectoryOptions
from router.settings.problems import ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.settings.values import Settings

FIXED: Final[tuple[tuple[str, Callable[[Settings], Any]], ...]] = (
    ("gateway.listen", lambda settings: settings.listen),
    ("gateway.tls.listen", lambda settings: settings.serving.tls_listen),
    ("gateway.proxy_protocol", lambda settings: settings.serving.proxy_protocol),
    ("ops.listen", lambda settings: settings.ops_listen),
    ("control.listen", lambda settings: settings.control.listen),
    ("control.tls", lambda settings: settings.control.identity is None),
    ("control.tokens (none before, or none now)", lambda settings: settings.control.serves),
    ("log.format", lambda settings: settings.telemetry.form),
    ("log.workspace", lambda settings: settings.telemetry.shows_workspace),
    ("tracing.endpoint", lambda settings: settings.telemetry.collector),
    ("tracing.service_name", lambda settings: settings.telemetry.service_name),
    ("policy.mode", lambda settings: settings.table.policy.mode),
    ("directory.url", lambda settings: settings.directory.place),
    ("directory.locks", lambda settings: settings.directory.locks),
    ("directory.id", lambda settings: settings.directory.id),
)
"""A setting, and what is compared."""


def refusals(running: Settings, wanted: Settings) -> tuple[ConfigProblem, ...]:
    """Why a process that runs as `running` can't go on as `wanted`; empty if it can."""
    changed = [name for name, value in FIXED if value(running) != value(wanted)]
    changed += [
        f"directory.{field.name}"
        for field in fields(DirectoryOptions)
        if getattr(running.directory.options, field.name) != getattr(wanted.directory.options, field.name)
    ]
    mend = "restart the gateway for it, or put back what it runs with"
    return tuple(ConfigProblem(name, "cannot change while the gateway runs", mend) for name in changed)
