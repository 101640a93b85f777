"""The README's tables that repeat code, made from the code. Run as a script it writes them into the README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from router.cli.commands import COMMANDS
from router.control.api.catalogue import OPERATIONS
from router.control.problems import ControlProblem
from router.model.fault import Fault
from router.model.problem import Problem
from router.model.transfer import TRANSITIONS, Refusal, TransferEvent, TransferState
from router.settings.describe import settings_table
from router.telemetry.catalogue import metrics_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from router.cli.commands import Entry

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def problems_table() -> str:
    """One row a problem."""
    lines = ["| type | status | code | when |", "|---|---|---|---|"]
    for problem in Problem:
        spec = problem.spec
        retry = " (with Retry-After)" if spec.retry_after is not None else ""
        lines.append(f"| `{spec.slug}` | {spec.status}{retry} | {spec.code} | {spec.message} |")
    return "\n".join(lines) + "\n"


def faults_table() -> str:
    """One row a fault."""
    lines = ["| fault | whose | the client is told |", "|---|---|---|"]
    lines += [f"| `{fault.label}` | {fault.side.value} | {fault.problem.spec.status} |" for fault in Fault]
    return "\n".join(lines) + "\n"


def transitions_table() -> str:
    """States down, events across."""
    lines = [f"| | {' | '.join(f'`{event.value}`' for event in TransferEvent)} |", "|---|---|---|---|---|"]
    for state in TransferState:
        cells = []
        for event in TransferEvent:
            step = TRANSITIONS[state, event]
            cells.append(
                "–" if step is Refusal.UNCHANGED else step.value if isinstance(step, Refusal) else f"**{step}**"
            )
        lines.append(f"| `{state.value}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def commands_table() -> str:
    """One row a command."""

    def rows(table: Mapping[str, Entry], above: str) -> Iterator[str]:
        for name, entry in table.items():
            if entry.commands:
                yield from rows(entry.commands, f"{above}{name} ")
            else:
                yield f"| `{above}{name}` | {entry.help} |"

    return "\n".join(["| command | what it does |", "|---|---|", *rows(COMMANDS, "")]) + "\n"


def operations_table() -> str:
    """One row an operation of the control API."""
    lines = ["| operation | scope | what it does |", "|---|---|---|"]
    lines += [f"| `{one.method} {one.path}` | `{one.scope}` | {one.summary} |" for one in OPERATIONS]
    return "\n".join(lines) + "\n"


def control_problems_table() -> str:
    """One row a problem of the control API."""
    lines = ["| type | status | code | when |", "|---|---|---|---|"]
    lines += [
        f"| `{one.spec.slug}` | {one.spec.status} | {one.spec.code} | {one.spec.message} |" for one in ControlProblem
    ]
    return "\n".join(lines) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {
    "problems": problems_table,
    "operations": operations_table,
    "control-problems": control_problems_table,
    "faults": faults_table,
    "transitions": transitions_table,
    "commands": commands_table,
    "metrics": metrics_table,
    "settings": settings_table,
}


def shown(name: str, text: str) -> str:
    """What `text` shows between the marks of the table `name`."""
    found = re.search(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    if found is None:
        raise LookupError(f"the README has no table {name}")
    return found[1]


def main() -> None:
    """Write the tables into the README."""
    text = README.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        head, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        text = head + mark + make() + end + tail
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
