"""The host's lock: only a process that is gone can be proved dead."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from router.directory.hostlock import FileHostLocks, HostLockError

HOLD_AND_WAIT = """
import sys
from pathlib import Path
from router.directory.hostlock import FileHostLocks
FileHostLocks(Path(sys.argv[1])).hold("other")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "directory.db-gateways"


@pytest.fixture
def locks(directory: Path) -> FileHostLocks:
    return FileHostLocks(directory)


def hold_in_another_process(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_AND_WAIT, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_process_that_lives_is_not_proved_dead(locks: FileHostLocks, directory: Path) -> None:
    with hold_in_another_process(directory) as process:
        assert not locks.prove_dead("other")
        process.kill()


def test_a_process_that_was_killed_is_proved_dead(locks: FileHostLocks, directory: Path) -> None:
    with hold_in_another_process(directory) as process:
        process.kill()
    assert locks.prove_dead("other")


def test_a_registration_of_this_very_process_is_not_proved_dead(locks: FileHostLocks) -> None:
    lock = locks.hold("mine")
    assert not locks.prove_dead("mine")
    lock.release()


def test_a_missing_file_proves_nothing(locks: FileHostLocks) -> None:
    assert not locks.prove_dead("never-was-here")


def test_a_proof_can_be_repeated_until_it_is_discarded(locks: FileHostLocks, directory: Path) -> None:
    with hold_in_another_process(directory) as process:
        process.kill()
    assert [locks.prove_dead("other"), locks.prove_dead("other")] == [True, True]
    locks.discard("other")
    assert not locks.prove_dead("other")


def test_a_lock_that_was_given_back_leaves_nothing_behind(locks: FileHostLocks, directory: Path) -> None:
    locks.hold("mine").release()
    assert list(directory.iterdir()) == []


def test_only_the_owner_may_enter_the_directory(locks: FileHostLocks, directory: Path) -> None:
    lock = locks.hold("mine")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    lock.release()


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostLockError, match=r"cannot create .*/file/gateways/mine\.lock: Not a directory"):
        FileHostLocks(tmp_path / "file" / "gateways").hold("mine")


@pytest.mark.parametrize("name", ["../outside", "a/b", "", ".", "x" * 65])
def test_a_name_from_a_database_never_leads_to_another_file(
    locks: FileHostLocks, directory: Path, tmp_path: Path, name: str
) -> None:
    directory.mkdir()
    outside = tmp_path / "outside.lock"
    outside.write_text("")
    assert not locks.prove_dead(name)
    locks.discard(name)
    assert outside.exists()
