"""`workspace put|get|list|delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import W1, W2, W3

if TYPE_CHECKING:
    from tests.cli.conftest import Place, Program

UNKNOWN = "64a687e29ae1f428e7ebe3aa"


def test_what_was_put_is_shown(program: Program, place: Place) -> None:
    more = ("--subdomain", "acme", "--plan", "PRO", "--owner", "5f8d0c2e7a1b4c3d9e6f7a80")
    put = program("workspace", "put", W2, "--region", "eu", *more, "--json").object
    shown = program("workspace", "get", W2, "--json").object
    assert put == {**shown, "changed": True}
    assert shown == {
        "workspace": W2,
        "region": "eu",
        "epoch": 1,
        "subdomain": "acme",
        "plan": "PRO",
        "owner": "5f8d0c2e7a1b4c3d9e6f7a80",
        "transfer": None,
    }


def test_ids_and_subdomains_are_put_in_lower_case(program: Program, place: Place) -> None:
    put = program("workspace", "put", W2.upper(), "--region", "eu", "--subdomain", "ACME", "--json").object
    assert (put["workspace"], put["subdomain"]) == (W2, "acme")


def test_what_is_left_out_is_left_as_it_is(program: Program, populated: Place) -> None:
    put = program("workspace", "put", W2, "--region", "eu", "--plan", "PRO", "--json").object
    assert (put["subdomain"], put["plan"]) == ("acme", "PRO")


def test_a_put_that_changes_nothing_says_so(program: Program, populated: Place) -> None:
    ran = program("workspace", "put", W2, "--region", "eu")
    assert (ran.code, ran.out) == (0, f"{W2}: unchanged\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("xyz", "--region", "eu"), 'workspace: "xyz" is not a workspace id; mend: '),
        ((W1, "--region", "euu"), 'region: "euu" is not configured; mend: did you mean eu'),
        ((W1, "--region", "eu", "--subdomain", "a.b"), 'subdomain: "a.b" is not one label of a host; mend: '),
        ((W1, "--region", "eu", "--subdomain", "euc1"), 'subdomain: "euc1" is a host of a service or a region; mend: '),
        ((W1, "--region", "eu", "--plan", "a\nb"), "plan: the text is empty, longer than 200 characters or not"),
    ],
)
def test_a_bad_text_is_told_with_its_mend(
    program: Program, place: Place, arguments: tuple[str, ...], problem: str
) -> None:
    ran = program("workspace", "put", *arguments)
    assert ran.code == 2
    assert [line[: len(problem)] for line in ran.errors] == [problem]


def test_all_bad_texts_are_told_at_once(program: Program, place: Place) -> None:
    ran = program("workspace", "put", "xyz", "--region", "mars", "--subdomain", "-")
    assert [line.partition(":")[0] for line in ran.errors] == ["workspace", "region", "subdomain"]


def test_only_a_transfer_moves_a_workspace(program: Program, populated: Place) -> None:
    ran = program("workspace", "put", W2, "--region", "us")
    assert (ran.code, ran.errors) == (
        2,
        [f"moves-by-transfer-only: Workspace {W2} lives in 'eu': start a transfer to 'us'"],
    )


def test_a_subdomain_belongs_to_one_workspace(program: Program, populated: Place) -> None:
    ran = program("workspace", "put", W3, "--region", "us", "--subdomain", "acme")
    assert (ran.code, ran.errors) == (2, ["subdomain-taken: Another workspace has the subdomain 'acme'"])


@pytest.mark.parametrize("command", ["get", "delete"])
def test_an_unknown_workspace_is_an_error(program: Program, place: Place, command: str) -> None:
    ran = program("workspace", command, UNKNOWN)
    assert (ran.code, ran.errors) == (
        2,
        [f"no-such-workspace: Workspace {UNKNOWN} is not in the directory; mend: put it first, or correct the id"],
    )


def test_list_is_in_the_order_of_ids(program: Program, populated: Place) -> None:
    assert [shown["workspace"] for shown in program("workspace", "list", "--json").objects] == [W1, W2, W3]


def test_list_of_one_region(program: Program, populated: Place) -> None:
    assert [shown["workspace"] for shown in program("workspace", "list", "--region", "eu", "--json").objects] == [W2]


def test_list_of_at_most_so_many(program: Program, populated: Place) -> None:
    assert [shown["workspace"] for shown in program("workspace", "list", "--limit", "2", "--json").objects] == [W1, W2]


def test_list_goes_on_behind_its_first_page(program: Program, place: Place) -> None:
    rows = "".join(f"{n:024x},eu\n" for n in range(2_500))
    program("workspace", "import", place.write("many.csv", "workspace,region\n" + rows))
    listed = [shown["workspace"] for shown in program("workspace", "list", "--json").objects]
    assert listed == [f"{n:024x}" for n in range(2_500)]


def test_people_are_shown_a_table(program: Program, populated: Place) -> None:
    head, *rows = program("workspace", "list").out.splitlines()
    assert head.split() == ["workspace", "region", "epoch", "subdomain", "plan", "owner", "transfer"]
    assert rows[1].split() == [W2, "eu", "1", "acme", "-", "-", "-"]


def test_list_of_an_empty_directory_is_empty(program: Program, place: Place) -> None:
    ran = program("workspace", "list", "--json")
    assert (ran.code, ran.out) == (0, "")


def test_a_deleted_workspace_is_gone(program: Program, populated: Place) -> None:
    assert program("workspace", "delete", W2, "--json").object == {"workspace": W2, "deleted": True}
    assert program("workspace", "get", W2).code == 2


def test_a_workspace_in_transfer_is_neither_changed_nor_deleted(program: Program, populated: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    put = program("workspace", "put", W2, "--region", "eu", "--plan", "PRO")
    deleted = program("workspace", "delete", W2)
    assert (put.code, deleted.code) == (2, 2)
    assert all("is in transfer" in ran.errors[0] for ran in (put, deleted))
