"""What continues the feed, and what breaks it."""

from __future__ import annotations

from router.directory.feed import find_break
from router.directory.store import Position, Renewed
from router.model.placement import Change, Placement, Version
from tests.directory.memory_store import EU, W1

AT_10 = Position(3, 10)


def change(seq: int) -> Change:
    return Change(seq, Placement(W1, EU, Version(3, seq)))


def renewed(*seqs: int, head: int, floor: int = 1, generation: int = 3) -> Renewed:
    return Renewed(generation, floor, head, opened=True, changes=tuple(map(change, seqs)))


def test_nothing_new_continues_the_feed() -> None:
    assert find_break(AT_10, renewed(head=10)) is None


def test_the_next_changes_continue_the_feed() -> None:
    assert find_break(AT_10, renewed(11, 12, head=12)) is None


def test_a_batch_that_ends_before_the_head_continues_the_feed() -> None:
    assert find_break(AT_10, renewed(11, 12, head=99)) is None


def test_a_feed_that_was_pruned_up_to_what_was_applied_continues() -> None:
    assert find_break(AT_10, renewed(head=10, floor=11)) is None


def test_a_feed_that_was_pruned_further_is_broken() -> None:
    assert find_break(AT_10, renewed(12, head=12, floor=12)) == "changes 11 to 11 are no longer kept"


def test_an_empty_answer_after_pruning_is_not_up_to_date() -> None:
    assert find_break(AT_10, renewed(head=20, floor=21)) == "changes 11 to 20 are no longer kept"


def test_an_empty_answer_below_the_head_is_not_up_to_date() -> None:
    assert find_break(AT_10, renewed(head=20)) == "change 11 is missing though the head is 20"


def test_a_lower_head_breaks_the_feed() -> None:
    assert find_break(AT_10, renewed(head=9)) == "the directory's head went back to 9 behind 10"


def test_another_generation_breaks_the_feed() -> None:
    assert find_break(AT_10, renewed(11, head=11, generation=4)) == "the directory is of generation 4 now, not 3"


def test_a_hole_between_two_changes_breaks_the_feed() -> None:
    assert find_break(AT_10, renewed(11, 13, head=13)) == "change 12 is missing before 13"


def test_a_change_that_was_applied_already_breaks_the_feed() -> None:
    assert find_break(AT_10, renewed(10, 11, head=11)) == "change 11 is missing before 10"


def test_a_change_behind_the_head_breaks_the_feed() -> None:
    assert find_break(AT_10, renewed(11, 12, head=11)) == "change 12 lies behind the head 11"
