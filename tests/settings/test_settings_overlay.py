"""The environment lies over the file, and a variable that means nothing is a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.model.region import RegionName, ServiceName
from router.routing.table import Action, Unknown
from router.settings.load import load_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.settings.values import Settings
    from tests.settings.conftest import ProblemsOf


def settings(base: str, folder: Path, environ: Mapping[str, str]) -> Settings:
    return load_text(base, environ, folder=folder)


def test_text_wins_over_the_file(base: str, tmp_path: Path) -> None:
    loaded = settings(base, tmp_path, {"REGION_ROUTER__POLICY__UNKNOWN_WORKSPACE": "refuse"})
    assert loaded.table.policy.unknown_workspace is Unknown.REFUSE


def test_numbers_are_read_as_their_settings_want_them(base: str, tmp_path: Path) -> None:
    loaded = settings(
        base,
        tmp_path,
        {"REGION_ROUTER__GATEWAY__TIMEOUTS__CONNECT": " 1.5", "REGION_ROUTER__GATEWAY__LIMITS__MAX_BODY": "1000"},
    )
    assert (loaded.gateway.connect_timeout, loaded.gateway.max_body) == (1.5, 1000)


def test_case_does_not_count_and_a_hyphen_is_an_underscore(base: str, tmp_path: Path) -> None:
    loaded = settings(base, tmp_path, {"Region_Router__Regions__EU__Services__TIME_OFF__Path": "/v2"})
    assert loaded.table.endpoint(RegionName("eu"), ServiceName("time-off")).path == b"/v2"


@pytest.mark.parametrize(
    "value", ["0.0.0.0:1,[::]:2", " 0.0.0.0:1 , [::]:2 ", '["0.0.0.0:1", "[::]:2"]', "['0.0.0.0:1', '[::]:2',]"]
)
def test_a_list_is_toml_or_json_or_separated_by_commas(value: str, base: str, tmp_path: Path) -> None:
    loaded = settings(base, tmp_path, {"REGION_ROUTER__GATEWAY__LISTEN": value})
    assert [str(address) for address in loaded.listen] == ["0.0.0.0:1", "[::]:2"]


def test_a_list_may_begin_with_an_ipv6_address(base: str, tmp_path: Path) -> None:
    loaded = settings(base, tmp_path, {"REGION_ROUTER__GATEWAY__LISTEN": "[::]:1,0.0.0.0:2"})
    assert [str(address) for address in loaded.listen] == ["[::]:1", "0.0.0.0:2"]


def test_an_empty_variable_is_an_empty_list(base: str, tmp_path: Path) -> None:
    assert settings(base, tmp_path, {"REGION_ROUTER__IDENTIFY__PATHS": ""}).table.templates == ()


@pytest.mark.parametrize(
    "value", ['[{method = "GET", action = "redirect"}]', '[{"method": "GET", "action": "redirect"}]']
)
def test_a_list_of_tables_is_toml_or_json(value: str, base: str, tmp_path: Path) -> None:
    loaded = settings(base, tmp_path, {"REGION_ROUTER__POLICY__ROUTES": value})
    assert [(route.method, route.action) for route in loaded.table.policy.routes] == [("GET", Action.REDIRECT)]


@pytest.mark.parametrize("content", ["sqlite:////srv/d.db", "sqlite:////srv/d.db\n", "sqlite:////srv/d.db\r\n"])
def test_a_value_is_read_from_a_file_without_its_last_newline(content: str, base: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    loaded = settings(base, tmp_path, {"REGION_ROUTER__DIRECTORY__URL_FILE": str(tmp_path / "secret")})
    assert str(loaded.directory.place) == "/srv/d.db"


def test_other_variables_are_left_alone(base: str, tmp_path: Path) -> None:
    assert settings(base, tmp_path, {"PATH": "/bin", "REGION_ROUTER_CONFIG": "x"}).warnings == ()


def test_a_required_setting_may_come_from_the_environment_alone(base: str, tmp_path: Path) -> None:
    text = base.replace('origin = "https://euc1.internal:8443"', "")
    loaded = settings(text, tmp_path, {"REGION_ROUTER__REGIONS__EU__ORIGIN": "https://euc1.test"})
    assert loaded.table.endpoint(RegionName("eu"), ServiceName("api")).origin.host == "euc1.test"


BAD = {
    "no such setting": ("POLICY__HOM", "x", "names no setting; mend: did you mean home?"),
    "no such section": ("POLICI__HOME", "x", "names no setting; mend: did you mean policy?"),
    "region not in the file": ("REGIONS__MARS__LABEL", "x", "names no setting; mend: known here: global, eu"),
    "a table": ("GATEWAY__TIMEOUTS", "x", "names a table; mend: name one of the settings in it"),
    "a table of names": ("REGIONS", "x", "names a table; mend: name one of the settings in it"),
    "behind a setting": (
        "POLICY__HOME__X",
        "x",
        "goes on behind a setting; mend: end it with the setting: policy.home",
    ),
    "nothing": ("", "x", "names no setting; mend: known here: gateway, "),
    "not a number": ("GATEWAY__TIMEOUTS__HEAD", "soon", "is not a number; mend: write one, as in 2.5"),
    "not a whole number": ("GATEWAY__LIMITS__POOL_SIZE", "1.5", "is not a whole number; mend: write one, as in 256"),
    "not a list": ("GATEWAY__LISTEN", "[x]", "is not a list; mend: "),
    "two values": ("GATEWAY__LISTEN", "['0.0.0.0:1']\n[ops]", "is not a list; mend: "),
    "not a list of tables": ("POLICY__ROUTES", "x", "is not a list of tables; mend: "),
    "value of the wrong form": ("POLICY__HOME", "mars", 'there is no region "mars"; mend: '),
    "no such file": ("DIRECTORY__URL_FILE", "/nowhere", "its file cannot be read (No such file or directory); mend: "),
}


@pytest.mark.parametrize("case", BAD)
def test_each_bad_variable_is_one_problem_under_its_own_name(case: str, base: str, problems_of: ProblemsOf) -> None:
    name, value, expected = BAD[case]
    variable = f"REGION_ROUTER__{name}"
    (problem,) = problems_of(base, {variable: value})
    assert str(problem).startswith(f"{variable}: {expected}")
    assert str(problem).isprintable()


def test_an_item_of_a_list_is_counted_behind_the_variables_name(base: str, problems_of: ProblemsOf) -> None:
    (problem,) = problems_of(base, {"REGION_ROUTER__GATEWAY__LISTEN": "127.0.0.1:1,x"})
    assert problem.path == "REGION_ROUTER__GATEWAY__LISTEN[1]"


def test_a_value_and_a_file_for_the_same_setting_are_a_problem(
    base: str, problems_of: ProblemsOf, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("eu")
    (problem,) = problems_of(
        base, {"REGION_ROUTER__POLICY__HOME": "eu", "REGION_ROUTER__POLICY__HOME_FILE": str(tmp_path / "home")}
    )
    assert problem.path == "REGION_ROUTER__POLICY__HOME_FILE"
    assert problem.text == "sets the same as REGION_ROUTER__POLICY__HOME"


@pytest.mark.parametrize("content", [b"\xff", b"x" * ((1 << 20) + 1)])
def test_a_file_that_is_no_value_is_a_problem(
    content: bytes, base: str, problems_of: ProblemsOf, tmp_path: Path
) -> None:
    (tmp_path / "home").write_bytes(content)
    (problem,) = problems_of(base, {"REGION_ROUTER__POLICY__HOME_FILE": str(tmp_path / "home")})
    assert problem.path == "REGION_ROUTER__POLICY__HOME_FILE"


def test_a_setting_whose_file_is_unreadable_is_not_called_missing_as_well(base: str, problems_of: ProblemsOf) -> None:
    text = base.replace('origin = "https://euc1.internal:8443"', "")
    found = problems_of(text, {"REGION_ROUTER__REGIONS__EU__ORIGIN_FILE": "/nowhere"})
    assert [problem.path for problem in found] == ["REGION_ROUTER__REGIONS__EU__ORIGIN_FILE"]


def test_no_value_of_a_variable_is_repeated(base: str, problems_of: ProblemsOf) -> None:
    found = problems_of(
        base,
        {
            "REGION_ROUTER__DIRECTORY__URL": "postgresql://user:hush/@db/router",
            "REGION_ROUTER__REGIONS__EU__ORIGIN": "https://user:hush@euc1",
            "REGION_ROUTER__GATEWAY__TIMEOUTS__HEAD": "hush",
            "REGION_ROUTER__POLICY__HOME_FILE": "/hush",
        },
    )
    assert len(found) == 4
    assert "hush" not in " ".join(str(problem) for problem in found)
