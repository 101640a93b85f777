"""The Helm chart: Helm renders it, Kubernetes' schemas accept it, its parts fit together, and its commands are ours."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.certificates import write_identity
from tests.deploy.places import CHART, ROOT, read_yaml, rules, run
from tests.programs import require_program, require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERYTHING: dict[str, Any] = {
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True, "runbookUrl": "https://wiki.internal/router"},
    "dashboard": {"enabled": True},
    "secretFiles": {"tls": "router-tls"},
    "gateway": {"trustedProxies": ["10.0.0.0/8", "fd00::/8"], "workers": 2},
    "networkPolicy": {"clients": [{"namespaceSelector": {"matchLabels": {"edge": "yes"}}}]},
}
DEFAULTS: dict[str, Any] = {}
LEAST: dict[str, Any] = {
    "control": {"enabled": False},
    "migration": {"enabled": False},
    "networkPolicy": {"enabled": False},
}
VALUES = {"defaults": DEFAULTS, "everything": EVERYTHING, "least": LEAST}


@cache
def helm(values: str) -> dict[str, Any]:
    """What Helm makes of the chart with these values, which are JSON."""
    require_tool("kubernetes-validate")
    done = run(sys.executable, "-m", "tests.deploy.helm", CHART, input=values, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert isinstance(said, dict)
    return said


def documents(values: dict[str, Any]) -> list[dict[str, Any]]:
    made = helm(json.dumps(values))
    assert made["error"] is None
    texts = [text for name, text in made["manifests"].items() if not name.endswith("NOTES.txt")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def of_kind(values: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [document for document in documents(values) if document["kind"] in kinds]


def workloads(values: dict[str, Any]) -> list[dict[str, Any]]:
    return of_kind(values, "StatefulSet", "Deployment", "Job")


def containers(values: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each container with its pod."""
    for workload in workloads(values):
        pod = workload["spec"]["template"]["spec"]
        for container in pod["containers"]:
            yield container, pod


def selected(values: dict[str, Any], labels: dict[str, str]) -> list[dict[str, Any]]:
    """The pod templates that have `labels`."""
    templates = [workload["spec"]["template"] for workload in workloads(values)]
    return [template for template in templates if labels.items() <= template["metadata"]["labels"].items()]


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_lint_finds_nothing_to_warn_of(values: dict[str, Any]) -> None:
    report = helm(json.dumps(values))["report"]
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_kubernetes_knows_every_field_of_every_document(values: dict[str, Any], version: str, tmp_path: Path) -> None:
    known = [
        document for document in documents(values) if not document["apiVersion"].startswith("monitoring.coreos.com")
    ]
    files = []
    for number, document in enumerate(known):
        files.append(tmp_path / f"{number}-{document['kind']}.yaml")
        files[-1].write_text(yaml.safe_dump(document))
    done = run(require_tool("kubernetes-validate"), "--strict", "--no-warn", "-k", version, *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(known) >= 5


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_no_two_documents_have_one_name(values: dict[str, Any]) -> None:
    names = [(document["kind"], document["metadata"]["name"]) for document in documents(values)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("wrong", [{"gateways": {}}, {"gateway": {"replicas": 0}}, {"gateway": {"drain": 5}}], ids=str)
def test_a_value_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    assert helm(json.dumps(wrong))["error"] is not None


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_every_container_runs_without_any_privilege_on_a_read_only_root(values: dict[str, Any]) -> None:
    for container, pod in containers(values):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False


def test_no_secret_stands_in_a_variable() -> None:
    for container, _ in containers(EVERYTHING):
        assert all("valueFrom" not in variable for variable in container["env"])
        assert {variable["name"] for variable in container["env"]} >= {"REGION_ROUTER__DIRECTORY__URL_FILE"}


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_every_mount_has_its_volume(values: dict[str, Any]) -> None:
    for container, pod in containers(values):
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_a_service_leads_to_ports_of_one_kind_of_pod(values: dict[str, Any]) -> None:
    for service in of_kind(values, "Service"):
        [template] = selected(values, service["spec"]["selector"])
        ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_budgets_and_network_policies_select_pods_that_exist(values: dict[str, Any]) -> None:
    for document in of_kind(values, "PodDisruptionBudget", "NetworkPolicy"):
        selector = document["spec"].get("selector") or document["spec"]["podSelector"]
        assert len(selected(values, selector["matchLabels"])) == 1


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_a_network_policy_names_ports_that_its_pods_have(values: dict[str, Any]) -> None:
    for policy in of_kind(values, "NetworkPolicy"):
        [template] = selected(values, policy["spec"]["podSelector"]["matchLabels"])
        ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
        assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == ports


def test_probes_ask_what_the_ops_listener_answers() -> None:
    for container, _ in containers(DEFAULTS):
        probes = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
        expected = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
        assert all(probe == {"path": expected[name], "port": "ops"} for name, probe in probes.items())
    assert len([name for container, _ in containers(DEFAULTS) for name in container if name.endswith("Probe")]) == 5


def test_gateways_start_side_by_side_and_spread_over_zones_and_nodes() -> None:
    [gateways] = of_kind(DEFAULTS, "StatefulSet")
    assert gateways["spec"]["podManagementPolicy"] == "Parallel"
    spread = gateways["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_a_gateway_is_given_the_time_that_its_drain_takes() -> None:
    [gateways] = of_kind(DEFAULTS, "StatefulSet")
    pod = gateways["spec"]["template"]["spec"]
    [container] = pod["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    drain = float(env["REGION_ROUTER__GATEWAY__DRAIN_DELAY"]) + float(env["REGION_ROUTER__GATEWAY__TIMEOUTS__SHUTDOWN"])
    assert pod["terminationGracePeriodSeconds"] >= container["lifecycle"]["preStop"]["sleep"]["seconds"] + drain + 5


def test_the_migration_runs_before_anything_else_and_brings_what_it_needs() -> None:
    hooks = [one for one in documents(DEFAULTS) if "helm.sh/hook" in one["metadata"].get("annotations", {})]
    weights = {one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in hooks}
    assert weights["Job"] > max(weights["ConfigMap"], weights["ServiceAccount"])
    [job] = of_kind(DEFAULTS, "Job")
    pod = job["spec"]["template"]["spec"]
    named = {pod["serviceAccountName"], *(v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v)}
    assert named == {one["metadata"]["name"] for one in hooks}


def test_the_rules_are_those_of_the_files_and_lead_to_the_runbook_of_the_values() -> None:
    [rule] = of_kind(EVERYTHING, "PrometheusRule")
    groups = [
        *read_yaml(CHART / "rules" / "recording.yaml")["groups"],
        *read_yaml(CHART / "rules" / "alerts.yaml")["groups"],
    ]
    shown = json.dumps(rule["spec"]["groups"]).replace(
        "https://wiki.internal/router", "https://region-router.example/runbook"
    )
    assert json.loads(shown) == groups
    assert json.dumps(rule).count("https://wiki.internal/router#") == len(rules("alerts.yaml"))


def test_promtool_accepts_the_rules_that_the_chart_makes(tmp_path: Path) -> None:
    [rule] = of_kind(EVERYTHING, "PrometheusRule")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    done = run(require_program("promtool"), "check", "rules", tmp_path / "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_gateway_pod_is_scraped_as_the_job_that_alerts_ask_for() -> None:
    [monitor] = of_kind(EVERYTHING, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    [service] = [one for one in of_kind(EVERYTHING, "Service") if wanted <= one["metadata"]["labels"].items()]
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert {"targetLabel": "job", "replacement": "region-router"} in endpoint["relabelings"]


def test_the_dashboard_is_the_one_of_the_file() -> None:
    [config] = [one for one in of_kind(EVERYTHING, "ConfigMap") if one["metadata"]["name"].endswith("dashboard")]
    assert json.loads(config["data"]["region-router.json"]) == json.loads(
        (CHART / "dashboards" / "region-router.json").read_text()
    )


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_every_container_is_started_with_a_command_that_exists(values: dict[str, Any]) -> None:
    for container, _ in containers(values):
        done = run(sys.executable, "-m", "router", *container["args"], "--help")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_check_config_accepts_what_every_container_is_configured_with(values: dict[str, Any], tmp_path: Path) -> None:
    configs = {one["metadata"]["name"]: one["data"] for one in of_kind(values, "ConfigMap")}
    secrets = write_secrets(tmp_path)
    for container, pod in containers(values):
        [name] = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
        (tmp_path / "router.toml").write_text(configs[name]["router.toml"])
        env = {one["name"]: one["value"].replace("/run/secrets", str(secrets)) for one in container["env"]}
        done = run(sys.executable, "-m", "router", "check-config", "--config", tmp_path / "router.toml", env=env)
        assert done.returncode == 0, done.stderr


def write_secrets(folder: Path) -> Path:
    """What an operator puts into the Secrets that the values name."""
    place = folder / "secrets"
    for name in ("region-router", "control-tls", "control-tokens"):
        (place / name).mkdir(parents=True)
    (place / "region-router" / "url").write_text("postgresql://router:secret@db.internal/router?sslmode=verify-full")
    write_identity(place / "control-tls" / "tls.crt", place / "control-tls" / "tls.key", "control.internal")
    (place / "control-tokens" / "operators").write_text("6f1c0d2ba98e4f53a7c1d8e04b92f6d37a5e8c10")
    return place
