"""`key put`: the key comes by stdin or a file, is stored as its hash, and is never seen again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from router.model.placement import Alias, Entry, Kind
from tests.cli.conftest import W2

if TYPE_CHECKING:
    from router.directory.sqlite import SqliteStore
    from router.model.placement import Fact
    from tests.cli.conftest import Place, Program

KEY = b"NWFhYjE2-a-key-of-somebody"
DIGEST = hashlib.sha256(KEY).hexdigest()


def stored(place: Place) -> Fact:
    async def look_up(store: SqliteStore) -> Fact:
        return (await store.lookup(Entry(Kind.KEY, DIGEST), primary=True)).fact

    fact: Fact = place.ask(look_up)
    return fact


def test_a_key_from_stdin_names_a_workspace(program: Program, populated: Place) -> None:
    assert program("key", "put", "--workspace", W2, stdin=KEY + b"\n").code == 0
    fact = stored(populated)
    assert isinstance(fact, Alias)
    assert (fact.workspace, fact.region) == (W2, None)


def test_a_key_from_a_file_names_a_region(program: Program, populated: Place) -> None:
    file = populated.write("key", KEY + b"\r\n")
    assert program("key", "put", "--region", "eu", "--key-file", file).code == 0
    fact = stored(populated)
    assert isinstance(fact, Alias)
    assert (fact.workspace, fact.region) == (None, "eu")


def test_a_key_is_hashed_as_a_gateway_sees_it_without_blanks_around(program: Program, populated: Place) -> None:
    put = program("key", "put", "--region", "eu", "--json", stdin=b"  \t" + KEY + b" \n").object
    assert put == {"digest": DIGEST, "workspace": None, "region": "eu", "changed": True}


def test_the_same_again_changes_nothing(program: Program, populated: Place) -> None:
    program("key", "put", "--region", "eu", stdin=KEY)
    assert program("key", "put", "--region", "eu", stdin=KEY).out == "key of eu: unchanged\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workspace", W2),
        ("--region", "eu", "--json"),
        ("--region", "mars"),
        ("--workspace", "64a687e29ae1f428e7ebe3aa"),
        ("--region", "eu", "--workspace", W2),
        (),
    ],
)
def test_a_key_is_never_in_the_output(program: Program, populated: Place, arguments: tuple[str, ...]) -> None:
    ran = program("key", "put", *arguments, stdin=KEY)
    assert KEY.decode() not in ran.out + ran.err


def test_a_key_is_never_in_the_directory(program: Program, populated: Place) -> None:
    program("key", "put", "--workspace", W2, stdin=KEY)
    files = [path.read_bytes() for path in populated.folder.glob("directory.db*")]
    assert any(DIGEST.encode() in content for content in files)
    assert not any(KEY in content for content in files)


@pytest.mark.parametrize(
    ("stdin", "problem"),
    [
        (b"", "standard input: holds no key; mend: "),
        (b" \n", "standard input: holds no key; mend: "),
        (b"one\ntwo", "standard input: is no API key; mend: "),
        (b"nul\0l", "standard input: is no API key; mend: "),
        (b"k" * 20_000, "standard input: is no API key; mend: "),
    ],
)
def test_what_could_be_no_key_is_refused(program: Program, populated: Place, stdin: bytes, problem: str) -> None:
    ran = program("key", "put", "--region", "eu", stdin=stdin)
    assert ran.code == 2
    assert [line[: len(problem)] for line in ran.errors] == [problem]


def test_a_file_that_is_not_there_is_one_line(program: Program, populated: Place) -> None:
    ran = program("key", "put", "--region", "eu", "--key-file", "/nowhere/key")
    assert (ran.code, ran.errors) == (2, ["/nowhere/key: no such file or directory; mend: correct the path"])


@pytest.mark.parametrize("arguments", [(), ("--region", "eu", "--workspace", W2)])
def test_a_key_names_one_of_the_two(program: Program, populated: Place, arguments: tuple[str, ...]) -> None:
    ran = program("key", "put", *arguments, stdin=KEY)
    assert (ran.code, ran.errors) == (
        2,
        ["Give either --workspace or --region; mend: see `region-router key put --help`"],
    )


def test_a_key_of_a_workspace_that_is_not_there_is_refused(program: Program, populated: Place) -> None:
    ran = program("key", "put", "--workspace", "64a687e29ae1f428e7ebe3aa", stdin=KEY)
    assert (ran.code, ran.errors) == (
        2,
        [
            "no-such-workspace: Workspace 64a687e29ae1f428e7ebe3aa is not in the directory; "
            "mend: put it first, or correct the id"
        ],
    )
