"""Which facts a target needs, what they say together, and what a decision on them rests on."""

from __future__ import annotations

from router.directory.locate import NOTHING, Found, Missing, asks, join
from router.model.placement import Absence, Alias, Entry, Fact, Kind, Placement, Version
from router.routing.values import Located, Source
from tests.directory.memory_store import EU, US, W1, W2, workspace_entry
from tests.directory.rig import target_of

ACME = Entry(Kind.SUBDOMAIN, "acme")
KEY = Entry(Kind.KEY, "a" * 64)
E1, E2 = workspace_entry(W1), workspace_entry(W2)
IN_EU = Placement(W1, EU, Version(1, 3))
IN_US = Placement(W2, US, Version(1, 4))
ACME_IS_1 = Alias(ACME, Version(1, 5), workspace=W1)
KEY_IS_1 = Alias(KEY, Version(1, 6), workspace=W1)
KEY_IN_US = Alias(KEY, Version(1, 7), region=US)


def not_there(entry: Entry) -> Absence:
    return Absence(entry, Version(1, 0))


def hold(*facts: Fact) -> tuple[tuple[Entry, Version], ...]:
    return tuple((fact.entry, fact.version) for fact in facts)


def found(located: Located, *facts: Fact) -> Found:
    return Found(located, hold(*facts))


def read(target_facts: tuple[Fact, ...], **names: str | None) -> Found | Missing:
    known = {fact.entry: fact for fact in target_facts}
    workspace = W1 if names.get("workspace") == W1 else None
    target = target_of(workspace, subdomain=names.get("subdomain"), key=names.get("key"))
    return join(target, known.get, Source.HIT)


def test_a_workspace_on_the_path_is_its_placement() -> None:
    assert read((IN_EU,), workspace=W1) == found(Located(IN_EU, source=Source.HIT), IN_EU)


def test_a_workspace_on_the_path_that_is_not_cached_is_missing() -> None:
    assert read((), workspace=W1) == Missing((E1,))


def test_a_workspace_that_is_not_there_is_held_like_one_that_is() -> None:
    absence = not_there(E1)
    assert read((absence,), workspace=W1) == found(Located(source=Source.NEGATIVE), absence)


def test_a_subdomain_is_its_workspace_s_placement() -> None:
    expected = Located(IN_EU, subdomain_workspace=W1, source=Source.HIT)
    assert read((ACME_IS_1, IN_EU), subdomain="acme") == found(expected, ACME_IS_1, IN_EU)


def test_a_subdomain_whose_workspace_is_not_cached_leaves_that_missing() -> None:
    assert read((ACME_IS_1,), subdomain="acme") == Missing((E1,))


def test_a_subdomain_that_is_not_there_names_no_workspace_and_is_held() -> None:
    absence = not_there(ACME)
    assert read((absence,), subdomain="acme") == found(Located(source=Source.NEGATIVE), absence)


def test_a_subdomain_is_read_though_the_path_names_a_workspace() -> None:
    other = Alias(ACME, Version(1, 8), workspace=W2)
    expected = Located(IN_EU, subdomain_workspace=W2, source=Source.HIT)
    assert read((other, IN_EU), workspace=W1, subdomain="acme") == found(expected, other, IN_EU)


def test_path_and_subdomain_are_missing_together() -> None:
    assert read((), workspace=W1, subdomain="acme") == Missing((ACME, E1))


def test_an_unknown_subdomain_does_not_hide_the_path_s_workspace() -> None:
    absence = not_there(ACME)
    assert read((absence, IN_EU), workspace=W1, subdomain="acme") == found(
        Located(IN_EU, source=Source.HIT), absence, IN_EU
    )


def test_a_key_is_its_workspace_s_placement() -> None:
    expected = Located(IN_EU, key_workspace=W1, source=Source.HIT)
    assert read((KEY_IS_1, IN_EU), key=KEY.name) == found(expected, KEY_IS_1, IN_EU)


def test_a_key_may_name_a_region() -> None:
    assert read((KEY_IN_US,), key=KEY.name) == found(Located(key_region=US, source=Source.HIT), KEY_IN_US)


def test_a_key_that_is_not_there_names_nothing_and_is_held() -> None:
    absence = not_there(KEY)
    assert read((absence,), key=KEY.name) == found(Located(source=Source.NEGATIVE), absence)


def test_a_key_is_not_read_when_a_subdomain_names_something() -> None:
    expected = Located(IN_EU, subdomain_workspace=W1, source=Source.HIT)
    assert read((ACME_IS_1, IN_EU, KEY_IN_US), subdomain="acme", key=KEY.name) == found(expected, ACME_IS_1, IN_EU)


def test_a_key_is_not_read_when_the_path_names_something() -> None:
    assert read((IN_EU, KEY_IN_US), workspace=W1, key=KEY.name) == found(Located(IN_EU, source=Source.HIT), IN_EU)


def test_a_workspace_that_a_key_names_and_that_is_not_there_is_said_to_be_named() -> None:
    absence = not_there(E1)
    expected = Located(key_workspace=W1, source=Source.NEGATIVE)
    assert read((KEY_IS_1, absence), key=KEY.name) == found(expected, KEY_IS_1, absence)


def test_the_source_of_a_fetched_not_found_is_a_miss() -> None:
    known: dict[Entry, Fact] = {E1: not_there(E1)}
    lookup = join(target_of(W1), known.get, Source.MISS)
    assert isinstance(lookup, Found)
    assert lookup.located.source is Source.MISS


def test_a_target_without_any_name_asks_nothing() -> None:
    assert not asks(target_of())
    assert Found(Located(source=Source.NONE), ()) == NOTHING


def test_text_in_an_id_s_place_asks_nothing_whatever_the_subdomain_says() -> None:
    assert not asks(target_of(malformed=True, subdomain="acme", key=KEY.name))
