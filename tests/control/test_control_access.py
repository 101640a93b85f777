"""Who may do what: no token, a wrong one, one that is not sufficient, one that has expired; and those who guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.control.access import FAILURES, LOOPBACK, REFILL, Access, Credentials, Failures, Principal, Scope, Token
from router.control.problems import ControlProblem, Declined
from router.control.secret_files import SecretFile
from tests.control.api_site import ADMIN, BACKEND, EXPIRED, JOB, READER, hashed, serving
from tests.control.control_sites import W1, SqliteControlSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.control.api_site import Client
    from tests.control.control_sites import ControlSite, Stage

HERE = "127.0.0.1"


def shown(token: str, address: str = HERE) -> Credentials:
    return Credentials(f"Bearer {token}", address, same_machine=False)


def declined(outcome: Principal | Declined) -> ControlProblem:
    assert isinstance(outcome, Declined), outcome
    return outcome.objections[0].problem


def name_of(outcome: Principal | Declined) -> str:
    assert isinstance(outcome, Principal), outcome
    return outcome.name


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ControlSite]:
    """One kind of directory: who may ask it is not its business."""
    site = SqliteControlSite(tmp_path / "directory.db")
    yield site
    await site.close()


# Over HTTP


async def test_without_a_token_nobody_learns_anything(api: Client) -> None:
    anybody = api.with_token(None)
    for path in ("/me", "/workspaces", "/nothing", "/control/openapi.json", "/control/elsewhere"):
        reply = await anybody.send("GET", path)
        assert (reply.status, reply.problem) == (401, "no-token"), path
        assert reply.headers["WWW-Authenticate"] == 'Bearer realm="region-router control"'


async def test_a_token_that_is_not_known_is_401(api: Client) -> None:
    assert (await api.with_token("a-guess").send("GET", "/me")).problem == "no-token"


async def test_a_token_that_has_expired_is_401(api: Client) -> None:
    reply = await api.with_token(EXPIRED).send("GET", "/me")
    assert (reply.status, reply.json["detail"]) == (401, "It has expired.")


async def test_two_authorizations_are_none(api: Client) -> None:
    headers = [("Authorization", f"Bearer {ADMIN}"), ("Authorization", f"Bearer {ADMIN}")]
    async with api.session.get(f"{api.base}/control/v1/me", headers=headers) as reply:
        assert reply.status == 401


@pytest.mark.parametrize(
    ("token", "method", "path", "body"),
    [
        (READER, "PUT", f"/workspaces/{W1}", {"region": "eu"}),
        (READER, "POST", f"/workspaces/{W1}/transfers", {"destination": "eu", "requested_by": "x"}),
        (BACKEND, "POST", f"/workspaces/{W1}/transfers", {"destination": "eu", "requested_by": "x"}),
        (JOB, "PUT", f"/workspaces/{W1}", {"region": "eu"}),
        (BACKEND, "GET", "/audit", None),
        (JOB, "GET", "/audit", None),
    ],
)
async def test_a_token_without_the_scope_is_403_and_changes_nothing(
    api: Client, stage: Stage, token: str, method: str, path: str, body: object
) -> None:
    assert (await api.with_token(token).send(method, path, body)).problem == "no-scope"
    assert await stage.do(lambda tx: tx.audit(limit=1)) == ()


@pytest.mark.parametrize("token", [READER, BACKEND, JOB, ADMIN])
async def test_every_scope_reads(api: Client, token: str) -> None:
    assert (await api.with_token(token).send("GET", "/workspaces")).status == 200


async def test_whoever_guesses_is_not_listened_to_for_a_while(api: Client, site: ControlSite) -> None:
    guesser = api.with_token("a-guess")
    for _ in range(FAILURES):
        assert (await guesser.send("GET", "/me")).status == 401
    reply = await guesser.send("GET", "/me")
    assert (reply.status, reply.headers["Retry-After"]) == (429, "6")
    assert (await api.send("GET", "/me")).problem == "too-many-failures"
    site.clock.jump(REFILL)
    assert (await api.send("GET", "/me")).status == 200


async def test_loopback_needs_no_token_where_that_is_allowed(site: ControlSite) -> None:
    async with serving(site, access=Access((), open_to_loopback=True)) as client:
        reply = await client.with_token(None).send("GET", "/me")
        assert (reply.json["name"], reply.json["scopes"]) == (LOOPBACK, ["admin"])


@pytest.mark.parametrize(
    "field",
    [
        ("Host", "evil.example"),
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("Via", "1.1 proxy"),
    ],
)
async def test_what_a_page_or_a_proxy_sends_over_loopback_needs_a_token(
    site: ControlSite, field: tuple[str, str]
) -> None:
    async with (
        serving(site, access=Access((), open_to_loopback=True)) as client,
        client.session.get(f"{client.base}/control/v1/me", headers=[field]) as reply,
    ):
        assert reply.status == 401


# Tokens


def test_several_tokens_are_valid_at_once() -> None:
    access = Access(tuple(Token(name, frozenset({Scope.READ}), hashed(name)) for name in ("old", "new")))
    assert [name_of(access.admit(shown(name), Scope.READ, now=0, pace=0)) for name in ("old", "new")] == ["old", "new"]


def test_a_scheme_counts_whatever_its_case_and_no_other_does() -> None:
    access = Access((Token("one", frozenset({Scope.READ}), hashed("secret")),))
    for text in ("bearer secret", "BEARER secret"):
        assert name_of(access.admit(Credentials(text, HERE, same_machine=False), Scope.READ, now=0, pace=0)) == "one"
    for text in ("Basic secret", "secret", "Bearer", "Bearer secret2"):
        outcome = access.admit(Credentials(text, HERE, same_machine=False), Scope.READ, now=0, pace=0)
        assert declined(outcome) is ControlProblem.NO_TOKEN


def test_a_token_is_valid_until_the_second_it_expires() -> None:
    access = Access((Token("one", frozenset({Scope.READ}), hashed("secret"), expires_at=100.0),))
    assert name_of(access.admit(shown("secret"), Scope.READ, now=99.9, pace=0)) == "one"
    assert declined(access.admit(shown("secret"), Scope.READ, now=100.0, pace=0)) is ControlProblem.NO_TOKEN


def test_a_token_s_file_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "token"
    access = Access((Token("one", frozenset({Scope.READ}), file=SecretFile(path)),))
    assert declined(access.admit(shown("first"), Scope.READ, now=0, pace=0)) is ControlProblem.NO_TOKEN
    for secret in ("first", "second, longer"):
        path.with_suffix(".new").write_text(f"{secret}\n")
        path.with_suffix(".new").replace(path)
        assert name_of(access.admit(shown(secret), Scope.READ, now=0, pace=0)) == "one"
    assert declined(access.admit(shown("first"), Scope.READ, now=0, pace=0)) is ControlProblem.NO_TOKEN


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    access = Access((Token("one", frozenset({Scope.READ}), file=SecretFile(tmp_path / "token")),))
    assert declined(access.admit(shown(""), Scope.READ, now=0, pace=0)) is ControlProblem.NO_TOKEN


# Those who guess


def test_each_address_has_its_own_failures() -> None:
    failures = Failures()
    for _ in range(FAILURES):
        failures.note("192.0.2.1", 0)
    assert failures.wait("192.0.2.1", 0) > 0
    assert failures.wait("192.0.2.2", 0) == 0


def test_a_network_of_ipv6_is_one_address() -> None:
    failures = Failures()
    for n in range(FAILURES):
        failures.note(f"2001:db8::{n}", 0)
    assert failures.wait("2001:db8::ffff", 0) > 0
    assert failures.wait("2001:db8:0:1::", 0) == 0


def test_failures_are_forgotten_with_time() -> None:
    failures = Failures()
    for _ in range(FAILURES + 5):
        failures.note("192.0.2.1", 0)
    assert failures.wait("192.0.2.1", 0) == pytest.approx(6 * REFILL)
    assert failures.wait("192.0.2.1", 6 * REFILL) == 0
