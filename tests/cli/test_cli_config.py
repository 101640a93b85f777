"""`check-config`: OK, warnings, every problem; for people and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Place, Program


def test_a_sound_configuration_is_ok(program: Program, place: Place) -> None:
    ran = program("check-config")
    assert (ran.code, ran.out) == (0, "OK\n")


def test_a_warning_is_told_and_is_no_error(program: Program, place: Place) -> None:
    ran = program("check-config")
    assert ran.err.startswith("warning: services.app.action: ")
    assert ran.code == 0


def test_every_problem_is_a_line_with_its_place_and_its_mend(program: Program, place: Place) -> None:
    place.configure('home = "global"', 'home = "mars"\nhoome = "eu"')
    ran = program("check-config")
    assert (ran.code, ran.out) == (2, "")
    assert [line.partition(":")[0] for line in ran.errors] == ["policy.home", "policy.hoome"]
    assert all("; mend: " in line for line in ran.errors)


def test_the_environment_is_checked_too(program: Program, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION_ROUTER__POLICY__HOME", "mars")
    (line,) = program("check-config").errors
    assert line.startswith("REGION_ROUTER__POLICY__HOME: ")


def test_the_option_wins_over_the_environment(program: Program, place: Place) -> None:
    other = place.write("other.toml", "[gateway")
    (line,) = program("check-config", "--config", other).errors
    assert "other.toml: is not valid TOML" in line


def test_json_of_a_sound_configuration(program: Program, place: Place) -> None:
    checked = program("check-config", "--json").object
    assert (checked["ok"], checked["problems"]) == (True, [])
    assert set(checked["warnings"][0]) == {"path", "text", "mend"}


def test_json_of_a_broken_configuration_has_its_problems_and_the_exit_code_is_2(program: Program, place: Place) -> None:
    place.configure('home = "global"', 'home = "mars"')
    ran = program("check-config", "--json")
    assert (ran.code, ran.object["ok"], ran.object["problems"][0]["path"]) == (2, False, "policy.home")


def test_no_directory_is_needed(program: Program, place: Place) -> None:
    place.database.unlink()
    assert program("check-config").code == 0
