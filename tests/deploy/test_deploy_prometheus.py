"""A real Prometheus scrapes a gateway of two workers: shipped rules evaluate on it, and the dashboard is answered."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.bench.processes import free_ports
from tests.demo.running import W, running_demo
from tests.deploy.gateways import gateway_beside
from tests.deploy.places import RULES, rules, run, until
from tests.deploy.queries import Query, dashboard_queries
from tests.programs import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deploy.gateways import Gateway

pytestmark = pytest.mark.timeout(300)

CONFIGURATION = """\
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{folder}/alerts.yaml, {folder}/recording.yaml]
scrape_configs:
- job_name: region-router
  static_configs: [{{targets: ["127.0.0.1:{ops}"]}}]
"""
QUIET = ("> 0", "router_observed_total", "router_control_deliver")
"""What a query that shows nothing in good times contains: trouble, and what is only there in another mode, or where
events are delivered somewhere.
"""


@dataclass(frozen=True)
class Prometheus:
    """A server that scrapes one gateway."""

    process: subprocess.Popen[bytes]
    port: int
    gateway: Gateway

    def get(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urlopen(url, timeout=10) as answer:
            content = json.load(answer)
        assert content["status"] == "success"
        return content["data"]

    def ask(self, query: str) -> list[Any]:
        result = self.get("query", query=query)["result"]
        assert isinstance(result, list)
        return result

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def until(self, what: str, *, query: str) -> None:
        until(lambda: bool(self.ask(query)), self.process, what)


@contextmanager
def running_prometheus(folder: Path, gateway: Gateway) -> Iterator[Prometheus]:
    """With the shipped rules, evaluated often: nobody waits half a minute for their turn."""
    for file in ("alerts.yaml", "recording.yaml"):
        text = (RULES / file).read_text("utf-8")
        (folder / file).write_text(re.sub(r"\binterval: \d+s", "interval: 200ms", text))
    config = folder / "prometheus.yaml"
    config.write_text(CONFIGURATION.format(folder=folder, ops=gateway.at.ops))
    [port] = free_ports(1)
    command = [
        require_program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]  # fmt: skip - a command reads as one
    log = folder / "prometheus.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            server = Prometheus(process, port, gateway)
            until(lambda: answers(port), process, "Prometheus to start", log)
            yield server
        finally:
            process.kill()


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def scraped(folder: Path) -> Iterator[Prometheus]:
    """The demo's regions and directory, two workers in front of them, and a Prometheus that has seen them."""
    with (
        running_demo(folder) as demo,
        gateway_beside(demo.configuration, "two-workers", "--workers=2") as gateway,
        running_prometheus(folder, gateway) as server,
    ):
        server.until("the gateway to be scraped", query='up{job="region-router"} == 1')
        yield server


def send_traffic(gateway: Gateway) -> None:
    """One request of each kind."""
    for workspace in ("301", "302", "303", "304", "305", "3ff", "302/../x"):
        gateway.get(f"/api/v1/workspaces/{W}{workspace}/projects")
    gateway.get(f"/workspaces/{W}302/tracker", "app.clockify.me")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    require_program("prometheus")
    with scraped(tmp_path_factory.mktemp("prometheus")) as server:
        send_traffic(server.gateway)
        # What was sent last: all of it has been scraped then.
        server.until(
            "the rules to be evaluated", query='region_decision:router_requests:rate5m{decision="redirect"} > 0'
        )
        yield server


def test_the_scraped_names_pass_promtool(prometheus: Prometheus) -> None:
    shown = prometheus.gateway.metrics()
    done = run(require_program("promtool"), "check", "metrics", input=shown)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    names = {rule.get("alert") or rule["record"] for file in ("alerts.yaml", "recording.yaml") for rule in rules(file)}
    evaluated = {rule["name"]: (rule["health"], rule.get("lastError")) for rule in prometheus.rules()}
    assert evaluated == dict.fromkeys(names, ("ok", None))


def test_no_alert_fires_at_a_gateway_that_is_well(prometheus: Prometheus) -> None:
    states = {rule["name"]: rule["state"] for rule in prometheus.rules() if rule["type"] == "alerting"}
    assert states == dict.fromkeys(states, "inactive")


@pytest.mark.parametrize("query", dashboard_queries(), ids=str)
def test_a_panel_of_the_dashboard_is_answered(prometheus: Prometheus, query: Query) -> None:
    text = query.text.replace("$__rate_interval", "1m")
    for name in ("job", "instance", "region"):
        text = text.replace(f'"${name}"', '".+"')
    answer = prometheus.ask(text)
    assert answer or any(word in text for word in QUIET)


def test_a_recorded_share_is_what_was_sent(prometheus: Prometheus) -> None:
    query = (
        'sum(region_decision:router_requests:rate5m{decision="locked"}) / sum(region_decision:router_requests:rate5m)'
    )
    [sample] = prometheus.ask(query)
    assert float(sample["value"][1]) == pytest.approx(1 / 8)


def test_both_workers_are_seen_as_one(prometheus: Prometheus) -> None:
    [workers] = prometheus.ask("router_workers")
    [requests] = prometheus.ask("sum(router_requests_total)")
    assert (workers["value"][1], requests["value"][1]) == ("2", "8")


def test_a_gateway_that_has_gone_is_noticed(tmp_path: Path) -> None:
    with scraped(tmp_path) as server:
        server.gateway.process.kill()
        server.until("the alert", query='ALERTS{alertname="RouterDown", alertstate="pending"}')
