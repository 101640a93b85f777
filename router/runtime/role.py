"""Which planes a process runs."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A plane of its own scales, fails and is released on its own; both together are one thing less to run."""

    GATEWAY = "gateway"
    """The data plane: requests of clients."""
    CONTROL = "control"
    """The control plane: workspaces, transfers and what belongs to them."""
    ALL = "all"

    @property
    def has_gateway(self) -> bool:
        """Whether clients are served."""
        return self is not Role.CONTROL

    @property
    def has_control(self) -> bool:
        """Whether the control plane is."""
        return self is not Role.GATEWAY
