"""`migrate` and `directory`: made, opened, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.directory.migrate import migrations

if TYPE_CHECKING:
    from tests.cli.conftest import Place, Program


def test_migrate_makes_a_directory_for_its_owner_only(program: Program, place: Place) -> None:
    place.database.unlink()
    ran = program("migrate")
    applied = "".join(f"applied {one.version:04} {one.title}\n" for one in migrations("sqlite"))
    assert (ran.code, ran.out) == (0, applied)
    assert place.database.stat().st_mode & 0o777 == 0o600


def test_migrate_again_does_nothing(program: Program, place: Place) -> None:
    ran = program("migrate")
    assert (ran.code, ran.out) == (0, "nothing to do\n")


def test_migrate_tells_scripts_what_was_applied(program: Program, place: Place) -> None:
    place.database.unlink()
    assert program("migrate", "--json").object == {
        "file": str(place.database),
        "applied": [{"version": one.version, "title": one.title} for one in migrations("sqlite")],
    }


def test_a_directory_in_a_folder_that_is_not_there_is_not_made(program: Program, place: Place) -> None:
    place.configure("sqlite:///directory.db", "sqlite:///nowhere/directory.db")
    ran = program("migrate")
    assert ran.code == 2
    assert "its folder does not exist" in ran.errors[0]


def test_a_new_directory_is_not_open(program: Program, place: Place) -> None:
    assert program("directory", "show", "--json").object["opened"] is False


def test_open_opens_it_and_shows_its_id_and_generation(program: Program, place: Place) -> None:
    before = program("directory", "show", "--json").object
    opened = program("directory", "open", "--json").object
    assert opened == {**before, "opened": True}
    assert len(opened["directory_id"]) == 32


def test_open_again_changes_nothing(program: Program, place: Place) -> None:
    assert program("directory", "open").out == program("directory", "open").out


def test_open_of_a_restored_one_begins_another_generation_and_a_quarantine(program: Program, place: Place) -> None:
    before = program("directory", "open", "--json").object
    after = program("directory", "open", "--restored", "--json").object
    assert after["generation"] > before["generation"]
    assert (before["quarantine_until"], after["quarantine_until"][-1]) == (None, "Z")


def test_people_are_shown_aligned_fields(program: Program, place: Place) -> None:
    lines = dict(line.split(maxsplit=1) for line in program("directory", "show").out.splitlines())
    assert (lines["opened"], lines["quarantine_until"], lines["file"]) == ("no", "-", str(place.database))
