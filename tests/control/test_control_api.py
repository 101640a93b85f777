"""The control API over HTTP: what each operation does, and the shape of every answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from router.directory.hostlock import FileHostLocks
from router.directory.store import Newcomer, Renewal
from tests.control.api_site import BACKEND, JOB, serving
from tests.control.control_sites import KEY, OTHER_KEY, OWNER, W1, W2
from tests.directory.manual_clock import settle

if TYPE_CHECKING:
    from pathlib import Path

    from tests.control.api_site import Client, Reply
    from tests.control.control_sites import ControlSite, Stage

PRO = {"region": "global", "plan": "PRO", "owner": OWNER}
TO_EU = {"destination": "eu", "requested_by": OWNER}


async def put(api: Client, workspace: str = W1, **more: str) -> Reply:
    reply = await api.send("PUT", f"/workspaces/{workspace}", {**PRO, **more})
    assert reply.status in {200, 201}, reply
    return reply


async def started(api: Client, workspace: str = W1) -> str:
    reply = await api.send("POST", f"/workspaces/{workspace}/transfers", TO_EU)
    assert reply.status == 201, reply
    return str(reply.json["id"])


async def moving(api: Client, stage: Stage, workspace: str = W1) -> str:
    """Started, with the barrier held."""
    transfer = await started(api, workspace)
    await stage.site.directory.evaluate(transfer, now=stage.now)  # type: ignore[arg-type]  # an id is text
    return transfer


async def items(api: Client, path: str) -> list[dict[str, Any]]:
    reply = await api.send("GET", path)
    assert reply.status == 200, reply
    found: list[dict[str, Any]] = reply.json["items"]
    return found


# Workspaces


async def test_a_workspace_is_made_then_replaced(api: Client) -> None:
    made = await put(api, subdomain="acme")
    again = await api.send("PUT", f"/workspaces/{W1}", {"region": "global"})
    assert (made.status, again.status) == (201, 200)
    assert again.json == {
        "workspace": W1,
        "region": "global",
        "epoch": 1,
        "subdomain": None,
        "plan": None,
        "owner": None,
        "transfer": None,
    }


async def test_a_patch_changes_what_it_names_and_null_takes_away(api: Client) -> None:
    await put(api, subdomain="acme")
    reply = await api.send("PATCH", f"/workspaces/{W1}", {"subdomain": None, "plan": "FREE"})
    assert (reply.json["subdomain"], reply.json["plan"], reply.json["owner"]) == (None, "FREE", OWNER)


async def test_a_subdomain_that_was_given_up_can_be_taken(api: Client) -> None:
    await put(api, subdomain="acme")
    assert (await api.send("PUT", f"/workspaces/{W2}", {**PRO, "subdomain": "acme"})).problem == "subdomain-taken"
    await api.send("PATCH", f"/workspaces/{W1}", {"subdomain": None})
    assert (await put(api, W2, subdomain="acme")).status == 201


async def test_a_host_of_ours_is_no_subdomain(api: Client) -> None:
    assert (await api.send("PUT", f"/workspaces/{W1}", {**PRO, "subdomain": "eu"})).problem == "subdomain-taken"


async def test_only_a_transfer_moves_a_workspace(api: Client) -> None:
    await put(api)
    assert (await api.send("PUT", f"/workspaces/{W1}", {**PRO, "region": "eu"})).problem == "moves-by-transfer-only"


async def test_a_region_that_is_not_configured_is_refused(api: Client) -> None:
    assert (await api.send("PUT", f"/workspaces/{W1}", {"region": "mars"})).problem == "no-such-region"


async def test_an_id_counts_whatever_its_case(api: Client) -> None:
    await put(api, W1.upper())
    assert (await api.send("GET", f"/workspaces/{W1}")).status == 200


async def test_a_deleted_workspace_is_gone_with_its_members(api: Client) -> None:
    await put(api)
    await api.send("PUT", f"/workspaces/{W1}/members/ann", {"status": "active"})
    assert (await api.send("DELETE", f"/workspaces/{W1}")).status == 204
    assert (await api.send("GET", f"/workspaces/{W1}")).status == 404
    await put(api)
    assert await items(api, f"/workspaces/{W1}/members") == []


async def test_workspaces_are_listed_a_page_at_a_time(api: Client) -> None:
    for workspace in (W1, W2):
        await put(api, workspace)
    first = (await api.send("GET", "/workspaces?limit=1")).json
    second = (await api.send("GET", f"/workspaces?limit=1&after={first['next']}")).json
    assert [one["workspace"] for page in (first, second) for one in page["items"]] == [W1, W2]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [("region=eu", [W2]), ("plan=FREE", [W2]), ("owner=nobody", []), ("member=ann", [W1]), ("locked=true", [W1])],
)
async def test_workspaces_are_listed_by_what_they_are(api: Client, query: str, found: list[str]) -> None:
    await put(api)
    await put(api, W2, region="eu", plan="FREE")
    await api.send("PUT", f"/workspaces/{W1}/members/ann", {"status": "active"})
    await started(api)
    assert [one["workspace"] for one in await items(api, f"/workspaces?{query}")] == found


async def test_nothing_of_a_workspace_changes_while_it_is_in_transfer(api: Client) -> None:
    await put(api)
    transfer = await started(api)
    for method, path, body in (
        ("PATCH", "", {"plan": "FREE"}),
        ("DELETE", "", None),
        ("PUT", "/members/ann", {"status": "active"}),
    ):
        reply = await api.send(method, f"/workspaces/{W1}{path}", body)
        assert (reply.problem, reply.json["transfer"]) == ("workspace-in-transfer", transfer), path
    assert (await api.send("PUT", f"/keys/{KEY}", {"workspace": W1})).problem == "workspace-in-transfer"


# Members, accounts, keys


async def test_members_are_put_listed_and_removed(api: Client) -> None:
    await put(api)
    for member, status in (("bob", "pending"), ("ann", "active"), ("bob", "inactive")):
        assert (await api.send("PUT", f"/workspaces/{W1}/members/{member}", {"status": status})).status == 200
    assert await items(api, f"/workspaces/{W1}/members") == [
        {"member": "ann", "status": "active"},
        {"member": "bob", "status": "inactive"},
    ]
    assert (await api.send("DELETE", f"/workspaces/{W1}/members/bob")).status == 204
    assert (await api.send("DELETE", f"/workspaces/{W1}/members/bob")).problem == "no-such-member"


async def test_accounts_say_who_is_in_which_region(api: Client) -> None:
    for member, region in (("bob", "eu"), ("ann", "us"), ("ann", "eu")):
        assert (await api.send("PUT", f"/accounts/{member}/{region}")).status == 200
    assert await items(api, "/accounts?region=eu") == [
        {"member": "ann", "region": "eu"},
        {"member": "bob", "region": "eu"},
    ]
    first = (await api.send("GET", "/accounts?limit=1")).json
    assert (await items(api, f"/accounts?limit=1&after={first['next']}"))[0] == {"member": "ann", "region": "us"}
    assert (await api.send("DELETE", "/accounts/ann/us")).status == 204
    assert (await api.send("DELETE", "/accounts/ann/us")).problem == "no-such-account"


async def test_no_account_is_kept_of_home(api: Client) -> None:
    assert (await api.send("PUT", "/accounts/ann/global")).problem == "no-such-region"


async def test_a_key_is_registered_by_its_hash_and_superseded(api: Client) -> None:
    await put(api)
    assert (await api.send("PUT", f"/keys/{KEY}", {"workspace": W1})).status == 200
    assert (await api.send("PUT", f"/keys/{OTHER_KEY}", {"region": "eu"})).status == 200
    superseded = await api.send("POST", f"/keys/{KEY}/supersede", {"by": "rotation-7"})
    assert superseded.json == {"digest": KEY, "workspace": W1, "region": None, "superseded_by": "rotation-7"}
    assert [one["digest"] for one in await items(api, f"/keys?workspace={W1}")] == [KEY]


async def test_a_registration_that_comes_late_revives_no_key(api: Client) -> None:
    await put(api)
    for method, path, body in (
        ("PUT", f"/keys/{KEY}", {"workspace": W1}),
        ("POST", f"/keys/{KEY}/supersede", {"by": "rotation-7"}),
        ("PUT", f"/keys/{KEY}", {"workspace": W1}),
    ):
        assert (await api.send(method, path, body)).status == 200
    assert (await api.send("GET", f"/keys/{KEY}")).json["superseded_by"] == "rotation-7"


async def test_a_key_names_one_thing(api: Client) -> None:
    for body in ({}, {"workspace": W1, "region": "eu"}):
        assert (await api.send("PUT", f"/keys/{KEY}", body)).problem == "invalid-request"


# Regions, resolve


async def test_regions_say_where_a_workspace_may_move_and_why_not(api: Client) -> None:
    await put(api)
    regions = {one["name"]: one for one in await items(api, f"/regions?workspace={W1}&requested_by={OWNER}")}
    assert {name for name, one in regions.items() if one["allowed"]} == {"eu", "us", "au"}
    why = {name: [refusal["type"].rpartition("/")[2] for refusal in one["refusals"]] for name, one in regions.items()}
    assert (why["uk"], why["global"]) == (["destination-not-accepting"], ["no-way-home", "already-there"])
    assert (regions["eu"]["label"], regions["uk"]["accepting"]) == ("EU", False)


async def test_regions_without_a_workspace_judge_nothing(api: Client) -> None:
    assert {one["allowed"] for one in await items(api, "/regions")} == {None}


async def test_resolve_says_where_a_workspace_lives_and_where_its_copy_is_fenced(api: Client, stage: Stage) -> None:
    await put(api, subdomain="acme")
    await api.send("PUT", f"/keys/{KEY}", {"workspace": W1})
    transfer = await moving(api, stage)
    await api.send("POST", f"/transfers/{transfer}/complete")
    for query in (f"workspace={W1}", "subdomain=acme", f"key={KEY}"):
        found = (await api.send("GET", f"/resolve?{query}")).json
        assert (found["workspace"], found["region"], found["public_url"]) == (W1, "eu", "https://eu.example.com")
        assert [(one["region"], one["state"]) for one in found["backups"]] == [("global", "locked")]
        assert found["key_superseded"] is query.startswith("key")


async def test_resolve_wants_one_name(api: Client) -> None:
    for query in ("", f"?workspace={W1}&subdomain=acme"):
        assert (await api.send("GET", f"/resolve{query}")).problem == "invalid-request"
    assert (await api.send("GET", "/resolve?subdomain=nobody")).problem == "no-such-workspace"
    assert (await api.send("GET", f"/resolve?key={KEY}")).problem == "no-such-key"


# Transfers


async def test_a_start_answers_with_the_transfer_and_where_to_follow_it(api: Client) -> None:
    await put(api)
    reply = await api.send("POST", f"/workspaces/{W1}/transfers", TO_EU)
    assert reply.status == 201
    assert (reply.json["state"], reply.json["percent"], reply.json["requested_by"]) == ("locking", 0, OWNER)
    followed = await api.send("GET", reply.headers["Location"])
    assert followed.json == reply.json


async def test_a_refused_start_tells_all_reasons_and_the_weightiest_first(api: Client) -> None:
    await put(api, plan="FREE")
    body = {"destination": "global", "requested_by": "somebody"}
    reply = await api.send("POST", f"/workspaces/{W1}/transfers", body)
    assert (reply.status, reply.problem) == (403, "not-the-owner")
    told = [one["type"].rpartition("/")[2] for one in reply.json["refusals"]]
    assert told == ["not-the-owner", "plan-without-regions", "no-way-home", "already-there"]


async def test_a_preview_says_what_would_happen_and_starts_nothing(api: Client) -> None:
    await put(api)
    reply = await api.send("POST", f"/workspaces/{W1}/transfers?preview=true", TO_EU)
    assert (reply.status, reply.json["allowed"], reply.json["refusals"]) == (200, True, [])
    assert len(reply.json["effects"]) == 6
    assert await items(api, "/transfers") == []


async def test_a_transfer_goes_its_way(api: Client, stage: Stage) -> None:
    await put(api)
    transfer = await moving(api, stage)
    progress = await api.send("POST", f"/transfers/{transfer}/progress", {"percent": 40, "note": "time entries"})
    assert (progress.json["state"], progress.json["percent"], progress.json["note"]) == (
        "transferring",
        40,
        "time entries",
    )
    completed = await api.send("POST", f"/transfers/{transfer}/complete")
    assert (completed.json["state"], completed.json["percent"]) == ("completed", 100)
    assert (await api.send("GET", f"/workspaces/{W1}")).json["region"] == "eu"
    assert (await api.send("POST", f"/transfers/{transfer}/complete")).json == completed.json
    assert (await api.send("POST", f"/transfers/{transfer}/fail", {"reason": "late"})).problem == "transfer-ended"


async def test_a_complete_while_it_is_locking_names_whom_it_waits_for(api: Client, stage: Stage) -> None:
    await put(api)
    await stage.site.directory.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))
    transfer = await started(api)
    reply = await api.send("POST", f"/transfers/{transfer}/complete")
    assert (reply.problem, reply.json["waits_for"]) == ("transfer-still-locking", ["inc-1"])
    waits_for = (await api.send("GET", f"/transfers/{transfer}")).json["waits_for"]
    assert waits_for == [{"incarnation": "inc-1", "gateway": "gateway-a", "host": "host-a"}]


async def test_a_late_complete_is_409(api: Client, stage: Stage) -> None:
    await put(api)
    transfer = await moving(api, stage)
    stage.site.clock.jump(12 * 3600)
    reply = await api.send("POST", f"/transfers/{transfer}/complete")
    assert (reply.status, reply.problem) == (409, "transfer-ended")
    assert "deadline" in reply.json["detail"]


async def test_transfers_are_listed_the_newest_first_and_by_state(api: Client) -> None:
    for workspace in (W1, W2):
        await put(api, workspace)
    first, second = await started(api), await started(api, W2)
    await api.send("POST", f"/transfers/{first}/abort")
    assert [one["id"] for one in await items(api, "/transfers")] == [second, first]
    assert [one["id"] for one in await items(api, "/transfers?running=true")] == [second]
    assert [one["id"] for one in await items(api, "/transfers?state=failed")] == [first]
    assert await items(api, "/transfers?state=failed&running=true") == []
    page = (await api.send("GET", "/transfers?limit=1")).json
    assert [one["id"] for one in await items(api, f"/transfers?limit=1&after={page['next']}")] == [first]


# Backups, gateways, events, audit


async def test_backups_are_listed_by_state(api: Client, stage: Stage) -> None:
    await put(api)
    transfer = await moving(api, stage)
    await api.send("POST", f"/transfers/{transfer}/complete")
    assert [one["transfer"] for one in await items(api, "/backups?state=locked&region=global")] == [transfer]
    assert await items(api, "/backups?state=expired") == []


async def test_gateways_say_how_far_they_are_behind(api: Client, stage: Stage) -> None:
    await stage.site.directory.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))
    await put(api)
    reply = await api.send("GET", "/gateways")
    assert reply.json["head"] == 1
    assert [(one["gateway"], one["behind"]) for one in reply.json["items"]] == [("gateway-a", 1)]


@pytest.fixture
def locks(tmp_path: Path) -> FileHostLocks:
    """Of a host on which the process of `inc-1` is gone: nobody locks its file."""
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "inc-1.lock").touch()
    return FileHostLocks(tmp_path / "gateways")


async def test_a_gateway_whose_process_is_dead_is_forgotten_once(
    site: ControlSite, stage: Stage, locks: FileHostLocks
) -> None:
    await site.directory.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))
    async with serving(site, locks=locks) as api:
        reply = await api.send("POST", "/gateways/inc-1/forget", Idempotency_Key="k1")
        again = await api.send("POST", "/gateways/inc-1/forget", Idempotency_Key="k1")
        assert (reply.json["ending"], reply.json["may_write_until"]) == ("dead", None)
        assert (again.status, again.text, again.headers["Idempotency-Replayed"]) == (200, reply.text, "true")
        assert (await api.send("POST", "/gateways/inc-1/forget")).problem == "no-such-gateway"
        assert [line["action"] for line in await items(api, "/audit")] == ["gateway.forget"]
    assert (await site.directory.registrations()).registrations == ()


async def test_a_gateway_that_renews_while_it_is_watched_is_not_forgotten(api: Client, site: ControlSite) -> None:
    await site.directory.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))
    asked = asyncio.ensure_future(api.send("POST", "/gateways/inc-1/forget"))
    while site.clock.next_wake is None:
        await settle()
    await renew(site)
    while not asked.done():
        await site.clock.advance(0.05)
    assert (await asked).problem == "gateway-still-renews"
    assert len((await site.directory.registrations()).registrations) == 1


async def test_one_that_is_silent_is_forgotten_and_may_write_until_its_lease_is_over(
    api: Client, site: ControlSite
) -> None:
    await site.directory.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))
    asked = asyncio.ensure_future(api.send("POST", "/gateways/inc-1/forget"))
    while not asked.done():
        await site.clock.advance(0.05)
    reply = await asked
    assert (reply.status, reply.json["ending"]) == (200, "forgotten")
    assert reply.json["may_write_until"] is not None


async def test_forgetting_a_gateway_takes_the_scope_of_an_administrator(api: Client) -> None:
    assert (await api.with_token(JOB).send("POST", "/gateways/inc-1/forget")).problem == "no-scope"


async def renew(site: ControlSite) -> None:
    position = await site.directory.position()
    assert await site.directory.renew(Renewal("inc-1", position.seq, position)) is not None


async def test_events_are_listed_with_their_deliveries(api: Client) -> None:
    await put(api)
    transfer = await started(api)
    (event,) = await items(api, "/events?undelivered=true")
    assert (event["type"], event["payload"]["data"]["transfer"]) == ("transfer.started", transfer)
    assert [(one["destination"], one["state"]) for one in event["deliveries"]] == [("hook", "pending")]
    assert (await api.send("GET", f"/events/{event['id']}")).json == event
    assert (await api.send("POST", f"/events/{event['id']}/resend", {})).problem == "delivery-pending"
    unknown = await api.send("POST", f"/events/{event['id']}/resend", {"destination": "nobody"})
    assert unknown.problem == "no-such-destination"


async def test_the_audit_log_says_who_changed_what(api: Client) -> None:
    await put(api.with_token(BACKEND))
    await api.with_token(BACKEND).send("PATCH", f"/workspaces/{W1}", {"plan": "FREE"})
    lines = await items(api, f"/audit?subject=workspace:{W1}")
    assert [(line["who"], line["action"]) for line in lines] == [("backend", "workspace.put")] * 2
    assert (lines[0]["before"]["plan"], lines[0]["after"]["plan"]) == ("PRO", "FREE")
    assert lines[1]["before"] is None


async def test_what_changes_nothing_is_not_in_the_audit_log(api: Client) -> None:
    await put(api)
    await put(api)
    assert len(await items(api, "/audit")) == 1
