"""A region's records: the fence refuses where it commits, and what is left can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.records import Outcome, Records, Write, read_books

if TYPE_CHECKING:
    from pathlib import Path

W = "64a687e29ae1f428e7eb0000"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "eu.db", fences=True)


def write(records: Records, epoch: int, name: str = "0-0-1") -> Outcome:
    (outcome,) = records.execute([Write(name, W, "request", epoch)])
    return outcome


def test_what_is_committed_into_a_closed_workspace_is_refused_whatever_its_epoch(records: Records) -> None:
    assert records.close(W, "t1", 7)
    assert [write(records, epoch) for epoch in (6, 7, 8)] == [Outcome.CLOSED] * 3


def test_only_who_closed_it_opens_it_and_older_epochs_stay_out(records: Records) -> None:
    records.close(W, "t1", 7)
    assert not records.open(W, 8, "t2")
    assert records.open(W, 8, "t1")
    assert [write(records, epoch) for epoch in (7, 8)] == [Outcome.STALE, Outcome.EXECUTED]


def test_a_call_to_close_that_was_delayed_does_nothing(records: Records) -> None:
    write(records, 9)
    assert not records.close(W, "t1", 7)
    assert write(records, 9, "0-0-2") is Outcome.EXECUTED


def test_a_region_that_trusts_refuses_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path / "eu.db", fences=False)
    records.close(W, "t1", 7)
    assert write(records, 1) is Outcome.EXECUTED


def test_the_books_have_every_outcome_in_order_and_the_data_of_those_executed(records: Records, tmp_path: Path) -> None:
    write(records, 5, "0-0-1")
    records.close(W, "t1", 7)
    write(records, 5, "0-0-2")
    books = read_books(tmp_path / "eu.db")
    assert [(line.name, line.outcome) for line in books.record] == [
        ("0-0-1", Outcome.EXECUTED),
        ("0-0-2", Outcome.CLOSED),
    ]
    assert books.data == {W: {"0-0-1"}}


def test_what_is_put_takes_the_place_of_what_was_there(records: Records) -> None:
    write(records, 5, "0-0-1")
    records.put(W, ["0-0-2", "0-0-3"])
    assert sorted(records.take(W)) == ["0-0-2", "0-0-3"]
