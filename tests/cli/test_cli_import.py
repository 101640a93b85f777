"""`workspace import`: CSV and JSON lines, all or nothing, and every bad row with its line and its mend."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.control.drafts import COLUMNS
from router.control.sheets import Form, read_sheet
from router.settings.load import load
from tests.cli.conftest import SHIPPED, W1, W2, W3

if TYPE_CHECKING:
    from tests.cli.conftest import Place, Program

TABLE = load(SHIPPED, {}).table


def imported(program: Program) -> dict[str, tuple[str, str | None, str | None, str | None]]:
    return {
        row["workspace"]: (row["region"], row["subdomain"], row["plan"], row["owner"])
        for row in program("workspace", "list", "--json").objects
    }


def problems(program: Program, *arguments: str, stdin: bytes = b"") -> list[str]:
    """The problems of an import that must change nothing, without the file's name."""
    ran = program("workspace", "import", *arguments, stdin=stdin)
    assert (ran.code, ran.out) == (2, "")
    assert imported(program) == {}
    return [line.partition(", ")[2] for line in ran.errors]


# --- what is read


def test_csv_with_all_columns(program: Program, place: Place) -> None:
    file = place.write("w.csv", f"workspace,region,subdomain,plan,owner\n{W1},eu,acme,PRO,somebody\n{W2},us,,,\n")
    assert program("workspace", "import", file).out == "2 rows, 2 of them changed something\n"
    assert imported(program) == {W1: ("eu", "acme", "PRO", "somebody"), W2: ("us", None, None, None)}


def test_csv_columns_come_in_any_order(program: Program, place: Place) -> None:
    program("workspace", "import", place.write("w.csv", f"plan , region,workspace\nPRO,eu,{W1}\n"))
    assert imported(program) == {W1: ("eu", None, "PRO", None)}


def test_csv_quotes_are_read(program: Program, place: Place) -> None:
    content = f'"workspace","region","plan"\r\n"{W1}","eu","a ""big"", plan"\r\n'
    program("workspace", "import", place.write("w.csv", content))
    assert imported(program) == {W1: ("eu", None, 'a "big", plan', None)}


def test_a_byte_order_mark_is_not_part_of_the_first_column(program: Program, place: Place) -> None:
    program("workspace", "import", place.write("w.csv", b"\xef\xbb\xbfworkspace,region\n" + f"{W1},eu\n".encode()))
    assert imported(program) == {W1: ("eu", None, None, None)}


def test_blank_lines_are_passed_over(program: Program, place: Place) -> None:
    program("workspace", "import", place.write("w.csv", f"\nworkspace,region\n\n{W1},eu\n\n"))
    assert imported(program) == {W1: ("eu", None, None, None)}


def test_json_lines(program: Program, place: Place) -> None:
    lines = f'{{"workspace": "{W1}", "region": "eu", "plan": null}}\n\n{{"region": "us", "workspace": "{W2}"}}\n'
    program("workspace", "import", place.write("w.jsonl", lines))
    assert imported(program) == {W1: ("eu", None, None, None), W2: ("us", None, None, None)}


def test_standard_input_with_its_format(program: Program, place: Place) -> None:
    stdin = f"workspace,region\n{W1},eu\n".encode()
    assert program("workspace", "import", "-", "--format", "csv", "--json", stdin=stdin).object == {
        "rows": 1,
        "changed": 1,
    }


def test_a_format_that_the_name_does_not_tell_must_be_given(program: Program, place: Place) -> None:
    ran = program("workspace", "import", place.write("w.txt", ""))
    assert (ran.code, "give --format" in ran.errors[0]) == (2, True)


def test_the_same_again_changes_nothing(program: Program, place: Place) -> None:
    file = place.write("w.csv", f"workspace,region\n{W1},eu\n")
    program("workspace", "import", file)
    assert program("workspace", "import", file).out == "1 rows, 0 of them changed something\n"


# --- what is refused, all of it at once


def test_every_bad_row_is_told_by_its_line_and_nothing_is_imported(program: Program, place: Place) -> None:
    content = f"workspace,region,subdomain\n{W1},eu,\nxyz,eu,\n{W2},mars,\n{W3},us,a.b\n"
    assert [line.partition("; mend: ")[0] for line in problems(program, place.write("w.csv", content))] == [
        'line 3, workspace: "xyz" is not a workspace id',
        'line 4, region: "mars" is not configured',
        'line 5, subdomain: "a.b" is not one label of a host',
    ]


def test_a_row_behind_one_of_several_lines_is_told_by_its_own_line(program: Program, place: Place) -> None:
    content = f'workspace,region,plan\n{W1},eu,"two\nlines"\nxyz,eu,\n'
    lines = [line.partition(":")[0] for line in problems(program, place.write("w.csv", content))]
    assert lines == ["line 2, plan", "line 4, workspace"]


def test_a_workspace_twice_is_told_with_both_lines(program: Program, place: Place) -> None:
    content = f"workspace,region\n{W1},eu\n{W1.upper()},eu\n"
    (line,) = problems(program, place.write("w.csv", content))
    assert line == f'line 3, workspace: "{W1}" stands on line 2 already; mend: keep one of the two'


def test_a_subdomain_twice_is_told_with_both_lines(program: Program, place: Place) -> None:
    content = f"workspace,region,subdomain\n{W1},eu,acme\n{W2},eu,ACME\n"
    (line,) = problems(program, place.write("w.csv", content))
    assert line == 'line 3, subdomain: "acme" stands on line 2 already; mend: keep one of the two'


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", ["line 1: there is no header"]),
        (f"{W1},eu\n", ["line 1: the header has no column workspace", "line 1: the header has no column region"]),
        ("workspace;region\n", ["line 1: the header has no column workspace"]),
        ("workspace\n", ["line 1: the header has no column region"]),
        ("workspace,region,regoin\n", ['line 1: there is no column "regoin"; mend: did you mean region?']),
        ("workspace,region,region\n", ['line 1: the header has the column "region" twice']),
        (f"workspace,region\n{W1}\n", ["line 2: has 1 cells under a header of 2"]),
        (f"workspace,region\n{W1},eu,\n", ["line 2: has 3 cells under a header of 2"]),
        (f'workspace,region\n{W1},"eu"x\n{W2},mars\n', ["line 2: is not CSV", "line 3, region: "]),
        (f'workspace,region\n{W1},"eu\n', ["line 2: is not CSV"]),
        (b"workspace,region,plan\n" + W1.encode() + b",eu,caf\xe9\n", ["line 2: is not UTF-8"]),
        (f"workspace,region\n{W1},{'x' * 200_000}\n", ["line 2: is not CSV (field larger than field limit"]),
        (f"workspace,region\n,eu\n{W1},\n", ["line 2, workspace: is missing", "line 3, region: is missing"]),
        (f"workspace,region\n{W1},e\0u\n", ["line 2, region: "]),
    ],
)
def test_bad_csv(program: Program, place: Place, content: str | bytes, lines: list[str]) -> None:
    found = problems(program, place.write("w.csv", content))
    assert [line[: len(start)] for line, start in zip(found, lines, strict=False)] == lines


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("nonsense", "line 1: is not JSON (Expecting value)"),
        ("\n[]", "line 2: is not an object"),
        ("[" * 100_000, "line 1: is not JSON (too deep"),
        (f'{{"workspace": {"9" * 5000}}}', "line 1: is not JSON (too deep, or a number too long)"),
        (f'{{"workspace": "{W1}"}}', "line 1, region: is missing"),
        (f'{{"workspace": "{W1}", "region": 7}}', "line 1, region: is not a string"),
        (f'{{"workspace": "{W1}", "region": "eu", "regoin": "eu"}}', 'line 1: there is no member "regoin"'),
        (f'{{"workspace": "{W1}", "region": "eu", "region": "us"}}', 'line 1: the member "region" stands twice'),
        (f'{{"workspace": "{W1}", "region": "\\ud800"}}', "line 1, region: "),
        (b'{"workspace": "\xff"}', "line 1: is not UTF-8"),
        ('"' + "x" * 200_000 + '"', "line 1: is too long"),
    ],
)
def test_bad_json_lines(program: Program, place: Place, content: str | bytes, line: str) -> None:
    (found,) = problems(program, place.write("w.jsonl", content))
    assert found.startswith(line)


def test_what_the_directory_refuses_is_told_by_line_too(program: Program, populated: Place) -> None:
    before = imported(program)
    content = f"workspace,region,subdomain\n64a687e29ae1f428e7ebe3aa,eu,\n\n{W2},us,\n{W3},us,acme\n"
    ran = program("workspace", "import", populated.write("w.csv", content))
    assert [line.partition(", ")[2] for line in ran.errors] == [
        f"line 4: workspace '{W2}': lives in 'eu' already: only a transfer moves it to 'us'",
        f"line 5: workspace '{W3}': subdomain 'acme' belongs to workspace '{W2}'",
    ]
    assert (ran.code, imported(program)) == (2, before)


@pytest.mark.parametrize("region", ["mars", "us"])
def test_very_many_bad_rows_are_told_up_to_a_hundred_and_counted(program: Program, place: Place, region: str) -> None:
    ids = [f"{n:024x}" for n in range(250)]
    here = "".join(f"{id_},eu\n" for id_ in ids)
    program("workspace", "import", place.write("w.csv", "workspace,region\n" + here))
    moved = here.replace(",eu", f",{region}")
    ran = program("workspace", "import", place.write("w.csv", "workspace,region\n" + moved))
    assert (ran.code, len(ran.errors)) == (2, 101)
    assert ran.errors[100].endswith("and 150 more")


def test_a_file_that_is_not_there_is_one_line(program: Program, place: Place) -> None:
    ran = program("workspace", "import", "/nowhere/w.csv")
    assert (ran.code, ran.errors) == (2, ["/nowhere/w.csv: no such file or directory; mend: correct the path"])


def test_a_folder_is_no_file(program: Program, place: Place) -> None:
    folder = place.folder / "w.csv"
    folder.mkdir()
    ran = program("workspace", "import", str(folder))
    assert (ran.code, ran.errors) == (2, [f"{folder}: is a directory; mend: name a file"])


# --- many


def test_a_hundred_thousand_rows_take_seconds(program: Program, place: Place) -> None:
    rows = "".join(f"{n:024x},{'eu' if n % 2 else 'us'},s{n}\n" for n in range(100_000))
    file = place.write("w.csv", "workspace,region,subdomain\n" + rows)
    before = monotonic()
    assert program("workspace", "import", file, "--json").object == {"rows": 100_000, "changed": 100_000}
    assert monotonic() - before < 40


def test_a_terminal_shows_how_far_it_is(place: Place) -> None:
    file = place.write("w.csv", "workspace,region\n" + "".join(f"{n:024x},eu\n" for n in range(3_000)))
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-m", "router", "workspace", "import", file]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its_end, env=environment) as process:
        os.close(its_end)
        shown = b""
        # Linux ends a terminal that nobody writes to any more with an error.
        with contextlib.suppress(OSError):
            while piece := os.read(terminal, 65536):
                shown += piece
        os.close(terminal)
        assert process.stdout is not None
        assert process.stdout.read() == b"3000 rows, 3000 of them changed something\n"
    assert b"importing" in shown
    assert b"100%" in shown


# --- anything at all


@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(st.sampled_from(',";\n\r\0 {}[]:0aé'), max_size=60).map(
            lambda text: ("workspace,region\n" + text).encode()
        ),
        st.lists(st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=5)), max_size=3).map(
            lambda rows: "\n".join(map(json.dumps, rows)).encode()
        ),
    ),
    form=st.sampled_from(Form),
)
def test_whatever_a_file_holds_is_a_draft_or_a_flaw_of_a_line(content: bytes, form: Form) -> None:
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="surrogateescape", newline="")
    sheet = read_sheet(text, form, TABLE)
    assert all(draft.region in TABLE.regions for draft in sheet.drafts)
    assert all(flaw.place.startswith("line ") and flaw.text and flaw.mend for flaw in sheet.flaws)
