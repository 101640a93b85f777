"""Helm in a process of its own: `python -m tests.deploy.helm CHART < values.json`. Says in JSON what it found and made.

Its library brings Go's runtime along, with threads and signal handlers of its own: not into the process of the tests.
"""

from __future__ import annotations

import json
import sys

import helm_python


def main() -> None:
    chart, values = sys.argv[1], json.load(sys.stdin)
    report = helm_python.lint(chart, values, kube_version="v1.34.0")
    try:
        with helm_python.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            manifests = loaded.render(values, name="prod", namespace="gateways")
    except helm_python.HelmError as error:
        json.dump({"report": report, "error": str(error), "manifests": {}}, sys.stdout)
    else:
        json.dump({"report": report, "error": None, "manifests": manifests}, sys.stdout)


if __name__ == "__main__":
    main()
