"""Who is trusted, what pages may read, what regions may tell: how it is set, and what is no such setting."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from router.gateway.cors import EVERYBODY
from router.routing.fields import Underscores
from router.settings.load import load_text

if TYPE_CHECKING:
    from pathlib import Path

    from router.settings.values import Settings
    from tests.settings.conftest import ProblemsOf


def loaded(base: str, folder: Path, gateway: str = "", policy: str = "", more: str = "", **environ: str) -> Settings:
    text = base.replace("[ops]", f"{gateway}\n[ops]").replace("[services.api]", f"{policy}\n[services.api]") + more
    return load_text(text, {f"REGION_ROUTER__{name}": value for name, value in environ.items()}, folder=folder)


def test_nobody_is_trusted_by_default(base: str, tmp_path: Path) -> None:
    gateway = loaded(base, tmp_path).gateway
    assert (gateway.trusted_proxies, gateway.forwarded, gateway.underscore_fields) == ((), False, Underscores.REFUSE)


def test_proxies_are_blocks_or_single_addresses(base: str, tmp_path: Path) -> None:
    text = 'trusted_proxies = ["10.0.0.0/8", "fd00::/8", "192.0.2.7"]'
    expected = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "192.0.2.7/32")))
    assert loaded(base, tmp_path, text).gateway.trusted_proxies == expected


@pytest.mark.parametrize("block", ["10.0.0.1/8", "10.0.0.0/33", "lb.internal", "", "10.0.0"])
def test_what_is_no_block_is_said(base: str, problems_of: ProblemsOf, block: str) -> None:
    (problem,) = problems_of(base.replace("[ops]", f'trusted_proxies = ["{block}"]\n[ops]'))
    assert problem.path == "gateway.trusted_proxies[0]"
    assert "is not a block of addresses" in problem.text


@pytest.mark.parametrize("block", ["0.0.0.0/0", "::/0"])
def test_trusting_everybody_is_warned_of(base: str, tmp_path: Path, block: str) -> None:
    (warning,) = loaded(base, tmp_path, f'trusted_proxies = ["{block}"]').warnings
    assert warning.path == "gateway.trusted_proxies[0]"


@pytest.mark.parametrize(("value", "flag"), [("true", True), (" false ", False)])
def test_a_flag_can_come_from_the_environment(base: str, tmp_path: Path, value: str, flag: bool) -> None:
    assert loaded(base, tmp_path, GATEWAY__FORWARDED=value).gateway.forwarded is flag


@pytest.mark.parametrize("value", ["yes", "1", "TRUE", ""])
def test_a_flag_is_true_or_false(base: str, problems_of: ProblemsOf, value: str) -> None:
    (problem,) = problems_of(base, {"REGION_ROUTER__GATEWAY__FORWARDED": value})
    assert problem.text == "is neither true nor false"


def test_a_flag_is_no_text(base: str, problems_of: ProblemsOf) -> None:
    (problem,) = problems_of(base.replace("[ops]", 'forwarded = "true"\n[ops]'))
    assert problem.text == "must be true or false"


@pytest.mark.parametrize("value", ["421,409", "[421, 409]"])
def test_statuses_can_come_from_the_environment(base: str, tmp_path: Path, value: str) -> None:
    settings = loaded(base, tmp_path, POLICY__STALE_STATUSES=value)
    assert settings.table.policy.stale_statuses == {421, 409}


@pytest.mark.parametrize("status", [200, 307, 600])
def test_only_an_error_can_say_that_a_workspace_is_elsewhere(base: str, problems_of: ProblemsOf, status: int) -> None:
    (problem,) = problems_of(base.replace("[services.api]", f"stale_statuses = [{status}]\n[services.api]"))
    assert problem.path == "policy.stale_statuses[0]"


def test_hidden_regions_that_are_disclosed_are_warned_of(base: str, tmp_path: Path) -> None:
    (warning,) = loaded(base, tmp_path, policy="hide_regions = true").warnings
    assert warning.path == "policy.disclose_region"
    assert loaded(base, tmp_path, policy='hide_regions = true\ndisclose_region = "never"').warnings == ()


def test_everybody_s_pages_may_read_our_own_answers_by_default(base: str, tmp_path: Path) -> None:
    assert loaded(base, tmp_path).gateway.cors == EVERYBODY


def test_without_origins_there_is_no_cors(base: str, tmp_path: Path) -> None:
    assert loaded(base, tmp_path, more="[cors]\nallow_origins = []\n").gateway.cors is None


def test_an_origin_is_kept_as_browsers_write_it(base: str, tmp_path: Path) -> None:
    cors = loaded(base, tmp_path, more='[cors]\nallow_origins = ["HTTPS://App.Example.com:443"]\n').gateway.cors
    assert cors is not None
    assert cors.origins == ("https://app.example.com",)


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "null", "https://*.example.com"])
def test_what_is_no_origin_is_said(base: str, problems_of: ProblemsOf, origin: str) -> None:
    (problem,) = problems_of(f'{base}[cors]\nallow_origins = ["{origin}"]\n')
    assert problem.path == "cors.allow_origins[0]"


def test_credentials_are_not_for_everybody(base: str, problems_of: ProblemsOf) -> None:
    (problem,) = problems_of(f"{base}[cors]\nallow_credentials = true\n")
    assert problem.path == "cors.allow_origins"


@pytest.mark.parametrize("name", ["X One", "", "*", "A:B"])
def test_what_is_no_field_s_name_is_said(base: str, problems_of: ProblemsOf, name: str) -> None:
    (problem,) = problems_of(f'{base}[cors]\nallow_headers = ["{name}"]\n')
    assert problem.path == "cors.allow_headers[0]"
