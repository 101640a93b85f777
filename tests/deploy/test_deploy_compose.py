"""The compose file: it is valid, its parts fit together, and what it starts of ours starts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.deploy.composition import GATEWAYS, REGIONS, command_lines, composition
from tests.deploy.places import DEPLOY, RULES, read_yaml, run
from tests.programs import require_program


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return composition()


def ours(composed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in composed["services"].items() if service["image"] == "region-router"}


def test_it_is_all_that_the_file_says(composed: dict[str, Any]) -> None:
    others = {"control", "directory", "database", "prometheus", "grafana"}
    assert set(composed["services"]) == {*GATEWAYS, *REGIONS, *others}


def test_nothing_of_ours_can_write_to_its_image_or_has_a_privilege(composed: dict[str, Any]) -> None:
    for name, service in ours(composed).items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_ports_are_published_to_this_machine_alone(composed: dict[str, Any]) -> None:
    ports = [port for service in composed["services"].values() for port in service.get("ports", ())]
    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


def test_every_file_that_is_mounted_exists(composed: dict[str, Any]) -> None:
    named = [entry["file"] for kind in ("configs", "secrets") for entry in composed[kind].values()]
    binds = [
        mount["source"]
        for service in composed["services"].values()
        for mount in service.get("volumes", ())
        if mount["type"] == "bind"
    ]
    assert binds
    assert [file for file in (*named, *binds) if not Path(file).exists()] == []


def test_every_service_is_started_with_a_command_that_exists(composed: dict[str, Any]) -> None:
    for name, service in ours(composed).items():
        if name in REGIONS:
            continue
        for words in command_lines(service):
            done = run(sys.executable, "-m", "router", *words, "--help")
            assert done.returncode == 0, f"{name}: {done.stderr}"


def test_a_gateway_is_given_the_time_that_its_drain_takes(composed: dict[str, Any]) -> None:
    for name in GATEWAYS:
        assert composed["services"][name]["stop_grace_period"] == "40s"


def test_check_config_accepts_what_the_gateways_read(composed: dict[str, Any]) -> None:
    for name in (*GATEWAYS, "control", "directory"):
        given = composed["services"][name]["environment"]
        secret = Path(given["REGION_ROUTER__DIRECTORY__URL_FILE"]).name
        environment = given | {"REGION_ROUTER__DIRECTORY__URL_FILE": composed["secrets"][secret]["file"]}
        config = composed["configs"]["router"]["file"]
        done = run(sys.executable, "-m", "router", "check-config", "--config", config, env=environment)
        assert done.returncode == 0, done.stderr


def test_every_region_of_the_configuration_is_a_service(composed: dict[str, Any]) -> None:
    text = Path(composed["configs"]["router"]["file"]).read_text("utf-8")
    origins = re.findall(r'^origin = "http://([a-z-]+):(\d+)"$', text, re.MULTILINE)
    assert [name for name, _ in origins] == list(REGIONS)
    for name, port in origins:
        assert composed["services"][name]["command"] == [name.removeprefix("region-"), port]


def test_prometheus_accepts_its_configuration_and_finds_gateways_and_rules(
    composed: dict[str, Any], tmp_path: Path
) -> None:
    text = Path(composed["configs"]["prometheus"]["file"]).read_text("utf-8")
    (tmp_path / "prometheus.yaml").write_text(text.replace("/etc/prometheus/rules", str(RULES)))
    done = run(require_program("promtool"), "check", "config", tmp_path / "prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    [job] = read_yaml(tmp_path / "prometheus.yaml")["scrape_configs"]
    assert job["job_name"] == "region-router"
    assert job["static_configs"][0]["targets"] == [f"{name}:9090" for name in GATEWAYS]


def test_grafana_finds_prometheus_and_the_dashboard(composed: dict[str, Any]) -> None:
    provisioned = DEPLOY / "compose" / "grafana"
    [source] = read_yaml(provisioned / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = read_yaml(provisioned / "dashboards" / "region-router.yaml")["providers"]
    mounts = {mount["target"]: mount["source"] for mount in composed["services"]["grafana"]["volumes"]}
    assert (Path(mounts[provider["options"]["path"]]) / "region-router.json").is_file()


def test_a_fake_region_runs_as_a_process_of_its_own(composed: dict[str, Any]) -> None:
    script = composed["configs"]["region"]["file"]
    with subprocess.Popen([sys.executable, script, "eu", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"region eu listens on (\d+)\n", process.stdout.readline())
            assert found is not None
            with urlopen(f"http://127.0.0.1:{found[1]}/api/v1/user", timeout=20) as answer:
                assert json.load(answer)["region"] == "eu"
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
