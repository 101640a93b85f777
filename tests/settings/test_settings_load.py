"""A whole file: all its problems at once, what is no file at all, and what is only warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.settings.load import load, load_text
from router.settings.problems import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.settings.conftest import ProblemsOf


def test_problems_of_shape_and_of_the_whole_are_shown_together(base: str, problems_of: ProblemsOf) -> None:
    text = (
        base.replace('home = "global"', 'home = "globl"\ncolour = 1')
        .replace("https://euc1.internal:8443", "euc1")
        .replace("pto.api.clockify.me/v1", "clockify.me/api")
        .replace("127.0.0.1:9090", "127.0.0.1:8080")
    )
    assert [problem.path for problem in problems_of(text)] == [
        "ops.listen[0]",
        "policy.colour",
        "policy.home",
        "regions.eu.origin",
        "services.time-off.match[0]",
    ]


def test_what_was_wrong_is_not_called_missing_as_well(base: str, problems_of: ProblemsOf) -> None:
    text = base.replace('match = ["pto.api.clockify.me/v1"]', 'match = ["pto.api.clockify.me/v1", 3]')
    assert [problem.path for problem in problems_of(text)] == ["services.time-off.match[1]"]


def test_no_problem_repeats_a_credential(base: str, problems_of: ProblemsOf) -> None:
    text = base.replace("https://euc1.internal", "https://user:hush@euc1").replace(
        "sqlite:///directory.db", "postgresql://user:hush/@db/router"
    )
    found = problems_of(text)
    assert len(found) == 2
    assert "hush" not in " ".join(str(problem) for problem in found)


def test_a_syntax_error_is_one_problem_with_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[gateway]\nlisten = "127.0.0.1\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    (problem,) = caught.value.problems
    assert problem.path == str(file)
    assert "at line 2, column" in problem.text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a = \xff", "is not UTF-8 at line 1"),
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
        (b"a = " + b"1" * 5000, "is not valid TOML: "),
        (b"#" * ((1 << 20) + 1), "is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_toml_is_one_problem(content: bytes, text: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    (problem,) = caught.value.problems
    assert problem.text.startswith(text)


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "nowhere.toml", {})
    assert [problem.text for problem in caught.value.problems] == ["cannot be read (No such file or directory)"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert [problem.text for problem in caught.value.problems] == ["cannot be read (Is a directory)"]


def test_a_key_that_needs_quotes_is_shown_in_quotes_on_one_line(base: str, problems_of: ProblemsOf) -> None:
    (problem,) = problems_of(base + '"a\\nb" = 1\n')
    assert problem.path == 'regions.eu."a\\nb"'


def warnings_of(text: str, folder: Path) -> list[str]:
    return [warning.path for warning in load_text(text, {}, folder=folder).warnings]


def test_any_host_is_warned_of(base: str, tmp_path: Path) -> None:
    assert warnings_of(base.replace("pto.api.clockify.me/v1", "*/v1"), tmp_path) == ["services.time-off.match[0]"]


def test_redirects_are_warned_of(base: str, tmp_path: Path) -> None:
    text = base.replace(
        "[services.api]", '[[policy.routes]]\nmethod = "GET"\naction = "redirect"\n[services.api]\naction = "redirect"'
    )
    assert warnings_of(text, tmp_path) == ["policy.routes[0].action", "services.api.action"]


def test_plain_http_to_another_machine_is_warned_of(base: str, tmp_path: Path) -> None:
    assert warnings_of(base.replace("https://euc1.internal:8443", "http://euc1.internal"), tmp_path) == [
        "regions.eu.origin"
    ]


def test_plain_http_to_this_machine_is_not_warned_of(base: str, tmp_path: Path) -> None:
    assert warnings_of(base, tmp_path) == []


def test_a_problem_shows_as_one_line() -> None:
    assert str(ConfigProblem("a.b", "is wrong", "write c")) == "a.b: is wrong; mend: write c"
