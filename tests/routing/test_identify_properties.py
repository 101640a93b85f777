"""Whatever bytes a target has: the id that was looked up is the only one that a backend can read from what goes out.

Backends are modelled by the steps that they take with a path before they look for an id in it. Each step is written
here anew and owes nothing to the router; a reader is any choice of steps in any order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from router.routing.identify import identify, join_target
from router.routing.table import DEFAULT_TEMPLATES
from router.routing.values import Refuse, Target
from tests.routing.tables import head, routing_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.routing.table import RoutingTable

ID: Final = b"64a687e29ae1f428e7ebe302"
OTHER: Final = b"64a687e29ae1f428e7ebe303"
NESTED: Final = (*DEFAULT_TEMPLATES, "/workspaces/*/copy/{workspace}")
MOSTLY_REFUSED: Final = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
"""What is refused proves nothing here, and of what was spoilt much is refused."""


# --- the readers


def decode(path: bytes) -> bytes:
    return unquote_to_bytes(path)


def decode_unreserved(path: bytes) -> bytes:
    """As RFC 3986 §6.2.2.2 would have it: nothing that needs its escape is decoded."""
    return re.sub(rb"%(2[dDeE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])", _unescape, path)


def decode_all_but_slashes(path: bytes) -> bytes:
    return re.sub(rb"%(?!2[fF])([0-9a-fA-F]{2})", _unescape, path)


def fold_backslashes(path: bytes) -> bytes:
    return path.replace(b"\\", b"/")


def strip_params(path: bytes) -> bytes:
    return re.sub(rb";[^/]*", b"", path)


def merge_slashes(path: bytes) -> bytes:
    return re.sub(rb"/+", b"/", path)


def remove_dot_segments(path: bytes) -> bytes:
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept)


def end_at_nul(path: bytes) -> bytes:
    return path.partition(b"\0")[0]


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)])


STEPS: Final = frozenset(
    {
        decode,
        decode_unreserved,
        decode_all_but_slashes,
        fold_backslashes,
        strip_params,
        merge_slashes,
        remove_dot_segments,
        end_at_nul,
    }
)
DECODERS: Final = frozenset({decode, decode_unreserved, decode_all_but_slashes})


def readings(path: bytes) -> set[bytes]:
    """What `path` is to every reader: one that decodes once and takes each other step once, in any order.

    A reader may decode a second time as well, but then it has removed dot segments before (see `router.routing.path`).
    """
    done: set[tuple[bytes, frozenset[Callable[[bytes], bytes]], bool]] = set()
    todo = [(path, STEPS, False)]
    while todo:
        text, steps, again = state = todo.pop()
        if state in done:
            continue
        done.add(state)
        for step in steps:
            taken = step(text)
            if taken == text:
                continue
            if step not in DECODERS:
                todo.append((taken, steps - {step}, again))
            elif not again:
                todo.append((taken, steps - DECODERS, again))
                todo.append((taken, steps, True))
            else:
                todo.append((taken, steps - DECODERS - {remove_dot_segments}, again))
    return {text for text, *_ in done}


def ids_in(path: bytes, base: bytes, templates: tuple[str, ...]) -> set[bytes]:
    """The well-formed ids that stand in a template's place of `path` behind `base`, in lower case."""
    if not path.startswith(base + b"/"):
        return set()
    segments = path[len(base) + 1 :].split(b"/")
    found = set()
    for shift in (0, 1) if re.fullmatch(rb"v[0-9]+", segments[0]) else (0,):
        for template in templates:
            found |= _id_by(template.split("/")[1:], segments[shift:])
    return found


def _id_by(template: list[str], segments: list[bytes]) -> set[bytes]:
    if len(segments) < len(template):
        return set()
    found = set()
    for expected, segment in zip(template, segments, strict=False):
        if expected == "{workspace}":
            if not re.fullmatch(rb"[0-9a-fA-F]{24}", segment):
                return set()
            found.add(segment.lower())
        elif expected not in {"*", segment.decode("latin-1")}:
            return set()
    return found


# --- the targets

NASTY: Final = [
    *(b"/", b"//", b"\\", b";", b";x", b".", b"..", b"/../", b"/./", b"/..;/", b"?", b"x", b"v1", b"/v1"),
    *(b"%2e", b"%2E%2e", b"/%2e%2e/", b"%2f", b"%2F", b"%5c", b"%5C..", b"%3b", b"%3B=/", b"%20", b"%3f", b"%23"),
    *(b"%25", b"%252e", b"%252f", b"%252e%252e", b"%2500", b"%00", b"%zz", b"%", b"%2", b"%c0%ae"),
    *(b"&", b"=", b"[", b"]", b"|", b"+", b"~"),
]
WORDS: Final = [
    *(b"/api", b"/report/v1", b"/v1", b"/v2", b"/workspaces/", b"/users/", b"u1", b"/defaultWorkspace/"),
    *(b"/invitations", b"/copy/", b"/projects", b"workspaces", b"%77orkspaces", b"workspace%73"),
    *(ID, OTHER, ID.upper(), b"%36" + ID[1:], OTHER[:-1] + b"%33"),
]
CLIMBS: Final = (
    b"/../",
    b"/%2e%2e/",
    b"/..;x/",
    b"\\..\\",
    b"%2f..%2f",
    b"/.%2E%3b/",
    b"/x/..//../",
    b"/workspaces/",
    b"",
)
HOSTS: Final = st.sampled_from(["clockify.me", "acme.clockify.me", "app.clockify.me", "reports.api.clockify.me"])
SOUND: Final = st.sampled_from(
    [
        b"/api/v1/workspaces/" + ID + b"/projects",
        b"/api/workspaces/" + ID + b"/copy/" + ID,
        b"/api/v1/workspaces/" + ID + b"/copy/" + OTHER + b"/x",
        b"/api/v1/users/u1/defaultWorkspace/" + ID,
        b"/api/v1/invitations/workspaces/" + ID + b"/x",
        b"/v1/workspaces/" + ID,
        b"/workspaces/" + ID + b"/tracker",
        b"/api/v1/file/workspaces/" + ID,
        b"/api/v1/user",
    ]
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A sound target with a few nasty pieces put in, or a few of its own bytes escaped."""
    target = draw(SOUND)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(1, len(target)))
        piece = draw(st.sampled_from([*NASTY, *(climb + OTHER for climb in CLIMBS), b"escape"]))
        if piece == b"escape":
            target = target[: at - 1] + b"%%%02x" % target[at - 1] + target[at:]
        else:
            target = target[:at] + piece + target[at + draw(st.sampled_from([0, 0, 1])) :]
    return target


PIECES: Final = st.lists(st.sampled_from(NASTY + WORDS), max_size=9).map(lambda pieces: b"/" + b"".join(pieces))
ADMITTED: Final = st.lists(st.sampled_from([*range(0x21, 0x23), *range(0x24, 0x7F)])).map(
    lambda code: b"/" + bytes(code)
)
TARGETS: Final = st.one_of(spoilt(), spoilt(), PIECES, ADMITTED)
TABLES: Final = pytest.mark.parametrize(
    ("table", "templates"),
    [(routing_table(), DEFAULT_TEMPLATES), (routing_table(templates=NESTED), NESTED)],
    ids=["shipped", "nested templates"],
)


@TABLES
@settings(MOSTLY_REFUSED, max_examples=600)
@given(TARGETS, HOSTS)
@example(b"/api/v1/workspaces/" + ID + b"/../" + OTHER, "clockify.me")
@example(b"/api/v1/workspaces/" + ID + b"/..;/" + OTHER, "clockify.me")
@example(b"/api/v1/workspaces%3bx/" + ID, "clockify.me")
@example(b"/api/v1/workspaces/" + ID + b"/copy//" + OTHER, "clockify.me")
def test_no_reader_finds_another_id_than_the_one_that_was_looked_up(
    table: RoutingTable, templates: tuple[str, ...], target: bytes, host: str
) -> None:
    found = identify(head(target, host), table)
    assume(isinstance(found, Target))
    assert isinstance(found, Target)
    assume(found.service.region is None)
    looked_up = set() if found.workspace is None else {found.workspace.encode()}
    for region in table.regions.values():
        endpoint = region.endpoints[found.service.name]
        path = join_target(endpoint, found.rest).partition(b"?")[0]
        read = {text: ids_in(text, endpoint.path, templates) for text in readings(path)}
        assert all(ids == looked_up for ids in read.values()), read


@settings(MOSTLY_REFUSED, max_examples=500)
@given(TARGETS, HOSTS)
def test_what_goes_out_is_the_services_path_and_the_rest_byte_for_byte(target: bytes, host: str) -> None:
    table = routing_table()
    found = identify(head(target, host), table)
    assume(isinstance(found, Target))
    assert isinstance(found, Target)
    prefixes = {prefix.path for prefix in table.view(host).prefixes or () if prefix.service is found.service}
    assert target in {prefix + found.rest for prefix in prefixes}
    for region in table.regions.values():
        endpoint = region.endpoints[found.service.name]
        sent = join_target(endpoint, found.rest)
        assert sent in {endpoint.path + found.rest, b"/" + found.rest}
        assert sent.startswith(b"/")


@settings(deadline=None)
@given(st.binary(), st.text(), st.none() | st.binary())
def test_identify_never_raises_whatever_the_target_the_host_and_the_key_are(
    target: bytes, host: str, key: bytes | None
) -> None:
    for name in (host, "clockify.me", "acme.clockify.me"):
        request = head(b"/api" + target, key=key)._replace(host=name)
        assert isinstance(identify(request, routing_table()), Target | Refuse)


def test_the_readers_of_this_test_can_read_another_id() -> None:
    """The models are no straw men: each of these is read as the other workspace by some of them."""
    for climb in CLIMBS[:-2]:
        path = b"/api/v1/workspaces/" + ID + climb + OTHER
        assert {OTHER} in [ids_in(text, b"/api", DEFAULT_TEMPLATES) for text in readings(path)], climb


def test_only_a_reader_that_removes_dot_segments_after_decoding_twice_can_climb_from_behind_the_id() -> None:
    target = b"/api/v1/workspaces/" + ID + b"/%252e%252e/" + OTHER
    found = identify(head(target), routing_table())
    assert isinstance(found, Target)
    assert ids_in(remove_dot_segments(decode(decode(target))), b"/api", DEFAULT_TEMPLATES) == {OTHER}
    assert all(ids_in(text, b"/api", DEFAULT_TEMPLATES) == {ID} for text in readings(target))
