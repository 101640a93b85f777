"""Faults: what can go wrong with one exchange, whose fault it is, and what follows from that.

The law of the room: one vocabulary. A fault's name is its metric label; the row says which side it belongs to, what the
client is told while no byte of an answer has been sent (afterwards its connection is cut instead), and how loud the log
is. The text for clients lives in `router.model.problem` and never contains the fault's details.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum

from router.model.problem import Problem


class Side(Enum):
    """Whose fault it is."""

    REGION = "region"
    CLIENT = "client"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One row of the table."""

    label: str
    side: Side
    problem: Problem
    level: int


class Fault(Enum):
    """Everything that ends an exchange without a whole answer."""

    CONNECT_FAILED = FaultSpec("connect_failed", Side.REGION, Problem.REGION_UNREACHABLE, logging.WARNING)
    CONNECT_TIMEOUT = FaultSpec("connect_timeout", Side.REGION, Problem.REGION_TIMEOUT, logging.WARNING)
    TLS_FAILED = FaultSpec("tls_failed", Side.REGION, Problem.REGION_UNREACHABLE, logging.ERROR)
    POOL_FULL = FaultSpec("pool_full", Side.REGION, Problem.REGION_UNAVAILABLE, logging.WARNING)
    IN_FLIGHT_FULL = FaultSpec("in_flight_full", Side.REGION, Problem.REGION_UNAVAILABLE, logging.WARNING)
    CIRCUIT_OPEN = FaultSpec("circuit_open", Side.REGION, Problem.REGION_UNAVAILABLE, logging.INFO)
    PROTOCOL_ERROR = FaultSpec("protocol_error", Side.REGION, Problem.REGION_PROTOCOL_ERROR, logging.WARNING)
    CLOSED_EARLY = FaultSpec("closed_early", Side.REGION, Problem.REGION_UNREACHABLE, logging.WARNING)
    ANSWER_TIMEOUT = FaultSpec("answer_timeout", Side.REGION, Problem.REGION_TIMEOUT, logging.WARNING)
    TRUNCATED = FaultSpec("truncated", Side.REGION, Problem.REGION_PROTOCOL_ERROR, logging.WARNING)
    BODY_TIMEOUT = FaultSpec("body_timeout", Side.REGION, Problem.REGION_TIMEOUT, logging.WARNING)
    CLIENT_GONE = FaultSpec("client_gone", Side.CLIENT, Problem.BAD_REQUEST, logging.DEBUG)
    CLIENT_SLOW = FaultSpec("client_slow", Side.CLIENT, Problem.CLIENT_TOO_SLOW, logging.INFO)
    CLIENT_STALLED = FaultSpec("client_stalled", Side.CLIENT, Problem.CLIENT_TOO_SLOW, logging.INFO)
    TUNNEL_IDLE = FaultSpec("tunnel_idle", Side.CLIENT, Problem.CLIENT_TOO_SLOW, logging.INFO)
    BAD_BODY = FaultSpec("bad_body", Side.CLIENT, Problem.BAD_REQUEST, logging.INFO)
    BODY_TOO_LARGE = FaultSpec("body_too_large", Side.CLIENT, Problem.BODY_TOO_LARGE, logging.INFO)
    LOCK_CUT = FaultSpec("lock_cut", Side.ROUTER, Problem.REGION_TIMEOUT, logging.WARNING)
    LEASE_LOST = FaultSpec("lease_lost", Side.ROUTER, Problem.DIRECTORY_UNAVAILABLE, logging.WARNING)
    INTERNAL = FaultSpec("internal", Side.ROUTER, Problem.INTERNAL_ERROR, logging.ERROR)
    SHUTDOWN = FaultSpec("shutdown", Side.ROUTER, Problem.REGION_UNAVAILABLE, logging.WARNING)

    @property
    def label(self) -> str:
        """The metric label."""
        return self.value.label

    @property
    def side(self) -> Side:
        """Whose fault it is."""
        return self.value.side

    @property
    def problem(self) -> Problem:
        """What a client is told that has not been sent any byte of an answer."""
        return self.value.problem

    @property
    def level(self) -> int:
        """How loud the log is, a level of `logging`."""
        return self.value.level
