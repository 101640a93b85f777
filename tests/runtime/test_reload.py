"""Reloading: a real gateway takes a new configuration over without dropping anything, or refuses it and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from typing import TYPE_CHECKING

import pytest

from router.runtime.process import running
from router.runtime.source import Source, Watch
from tests.certificates import authority, write_identity
from tests.gateway.origin import Origin, ok
from tests.gateway.stage import GET, PATIENCE, configure, path, request
from tests.gateway.wire import Client
from tests.runtime.gateways import Address, eventually, gateways, write_configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.gateway.origin import Turn
    from tests.runtime.gateways import GatewayProcess

SOON = "drain_delay = 0.0"
IN_FORCE = "configuration .* is in force"
REFUSED = "configuration refused, the one before goes on: "
WATCHING = "[reload]\ninterval = 0.05\n"


@pytest.fixture
async def other() -> AsyncIterator[Origin]:
    """Another origin, for what comes after a reload."""
    origin = Origin("other")
    await origin.start()
    yield origin
    await origin.stop()


class Site:
    """A gateway and its configuration file."""

    def __init__(self, gateway: GatewayProcess, config: Path, ports: dict[str, int]) -> None:
        self.gateway = gateway
        self.config = config
        self.ports = ports

    async def client(self) -> Client:
        return await Client.connect(self.gateway.address)

    def replace(self, text: str) -> None:
        """As editors and Kubernetes do it: the file is never half written."""
        new = self.config.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.replace(self.config)

    def edit(self, before: str, after: str) -> None:
        text = self.config.read_text("utf-8")
        assert before in text
        self.replace(text.replace(before, after))

    async def reloads(self, result: str) -> float:
        return await self.gateway.metric(f'router_config_reloads_total{{result="{result}"}}')


@pytest.fixture
async def site(place: Path, ports: dict[str, int]) -> AsyncIterator[Site]:
    """A gateway that looks at its file twenty times a second."""
    config = write_configuration(place, ports, gateway=SOON)
    config.write_text(WATCHING + config.read_text("utf-8"), "utf-8")
    async with gateways(config) as (gateway,):
        yield Site(gateway, config, ports)


async def test_a_changed_file_moves_the_next_request_of_an_open_connection(site: Site, other: Origin) -> None:
    client = await site.client()
    assert (await client.ask(GET)).body == b"region"
    site.replace(WATCHING + configure({**site.ports, "eu": other.port}, gateway=SOON))
    await site.gateway.logged(IN_FORCE)
    answer = await client.ask(GET)
    assert (answer.body, answer.value(b"Connection")) == (b"other", None)
    client.close()


async def test_a_request_in_flight_ends_as_it_was_decided(site: Site, origin: Origin, other: Origin) -> None:
    released = asyncio.Event()

    async def held(turn: Turn) -> None:
        await released.wait()
        turn.send(ok(b"the last"))

    origin.answers.append(held)
    client = await site.client()
    await client.send(GET)
    await origin.head()
    site.replace(WATCHING + configure({**site.ports, "eu": other.port}, gateway=SOON))
    await site.gateway.logged(IN_FORCE)
    released.set()
    assert (await client.answer()).body == b"the last"
    assert (await client.ask(GET)).body == b"other"
    client.close()


async def test_connections_to_an_origin_that_is_gone_are_closed(site: Site, origin: Origin, other: Origin) -> None:
    client = await site.client()
    assert (await client.ask(GET)).status == 200
    site.replace(WATCHING + configure(dict.fromkeys(site.ports, other.port), gateway=SOON))
    async with asyncio.timeout(PATIENCE):
        await origin.connections[0].ended()
    client.close()


async def test_connections_to_an_origin_that_stays_are_kept(site: Site, origin: Origin, other: Origin) -> None:
    client = await site.client()
    assert (await client.ask(GET)).status == 200
    site.replace(WATCHING + configure({**site.ports, "us": other.port}, gateway=SOON))
    await site.gateway.logged(IN_FORCE)
    assert (await client.ask(GET)).status == 200
    assert len(origin.connections) == 1
    client.close()


async def test_a_new_region_has_its_series(site: Site, other: Origin) -> None:
    uk = f'[regions.uk]\norigin = "http://127.0.0.1:{other.port}"\npublic_url = "https://euw2.clockify.me"\n'
    site.replace(site.config.read_text("utf-8") + uk)
    await site.gateway.logged(IN_FORCE)
    assert await site.gateway.metric('router_requests_in_flight{region="uk"}') == 0


async def test_limits_change_for_connections_that_are_there(site: Site) -> None:
    client = await site.client()
    assert (await client.ask(request("POST", path(), body=b"x" * 100))).status == 200
    site.edit("[gateway.limits]", "[gateway.limits]\nmax_body = 10")
    await site.gateway.logged(IN_FORCE)
    assert (await client.ask(request("POST", path(), body=b"x" * 100))).status == 413
    client.close()


async def test_a_hangup_asks_a_gateway_that_does_not_look_by_itself(
    place: Path, ports: dict[str, int], other: Origin
) -> None:
    config = write_configuration(place, ports, gateway=SOON)
    config.write_text("[reload]\ninterval = 0\n" + config.read_text("utf-8"), "utf-8")
    async with gateways(config) as (gateway,):
        site = Site(gateway, config, ports)
        client = await site.client()
        assert (await client.ask(GET)).body == b"region"
        site.replace("[reload]\ninterval = 0\n" + configure({**ports, "eu": other.port}, gateway=SOON))
        gateway.send(signal.SIGHUP)
        await gateway.logged(IN_FORCE)
        assert (await client.ask(GET)).body == b"other"
        client.close()


# --- refused


async def test_a_bad_configuration_is_refused_with_all_its_problems_and_the_one_before_goes_on(site: Site) -> None:
    client = await site.client()
    assert (await client.ask(GET)).status == 200
    text = site.config.read_text("utf-8")
    site.replace(text.replace('home = "global"', 'home = "mars"').replace('path = "/api"', 'path = "api"'))
    await site.gateway.logged(REFUSED + r"policy\.home: ")
    await site.gateway.logged(REFUSED + r"services\.api\.path: ")
    assert (await client.ask(GET)).status == 200
    assert await site.reloads("refused") == 1
    assert await site.gateway.metric("router_config_last_reload_accepted") == 0
    client.close()


async def test_a_configuration_that_is_put_back_has_nothing_refused(site: Site) -> None:
    text = site.config.read_text("utf-8")
    site.edit('home = "global"', 'home = "mars"')
    await site.gateway.logged(REFUSED)
    site.replace(text)

    async def accepted() -> bool:
        return await site.gateway.metric("router_config_last_reload_accepted") == 1

    await eventually(accepted)
    assert await site.reloads("accepted") == 0


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ('listen = ["127.0.0.1:0"]\ndrain', 'listen = ["127.0.0.1:0", "127.0.0.1:0"]\ndrain', "gateway.listen"),
        ("sqlite:///directory.db", "sqlite:///other.db", "directory.url"),
        ('home = "global"', 'home = "global"\nmode = "observe"', "policy.mode"),
        ("poll_interval = 0.02", "poll_interval = 0.02\nlease = 60.0", "directory.lease"),
    ],
)
async def test_what_cannot_change_is_refused_by_name(site: Site, before: str, after: str, name: str) -> None:
    site.edit(before, after)
    line = await site.gateway.logged(REFUSED)
    assert f"{name}: cannot change while the gateway runs; mend: restart the gateway" in line


async def test_a_removed_file_is_refused(site: Site) -> None:
    site.config.unlink()
    await site.gateway.logged(REFUSED + r".*cannot be read")
    client = await site.client()
    assert (await client.ask(GET)).status == 200
    client.close()


# --- certificates


async def shown_by(address: Address) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS connection, and the certificate that it was shown."""
    context = ssl.create_default_context()
    authority("ours").configure_trust(context)
    context.check_hostname = False
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return shown, reader, writer


async def test_a_renewed_certificate_is_shown_without_dropping_a_connection(place: Path, ports: dict[str, int]) -> None:
    write_identity(place / "gateway.pem", place / "gateway.key", "old.clockify.me")
    tls = 'tls = { listen = ["127.0.0.1:0"], cert = "gateway.pem", key = "gateway.key" }'
    config = write_configuration(place, ports, gateway=f"{SOON}\n{tls}")
    config.write_text(WATCHING + config.read_text("utf-8"), "utf-8")
    async with gateways(config) as (gateway,):
        address = Address.of(gateway.listen[1])
        old, reader, writer = await shown_by(address)
        write_identity(place / "new.pem", place / "new.key", "new.clockify.me")
        (place / "new.key").replace(place / "gateway.key")
        (place / "new.pem").replace(place / "gateway.pem")
        await gateway.logged(IN_FORCE)
        new, _, new_writer = await shown_by(address)
        assert new != old
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        for each in (writer, new_writer):
            each.close()


async def test_a_certificate_with_the_wrong_key_is_refused(place: Path, ports: dict[str, int]) -> None:
    write_identity(place / "gateway.pem", place / "gateway.key", "old.clockify.me")
    tls = 'tls = { listen = ["127.0.0.1:0"], cert = "gateway.pem", key = "gateway.key" }'
    config = write_configuration(place, ports, gateway=f"{SOON}\n{tls}")
    config.write_text(WATCHING + config.read_text("utf-8"), "utf-8")
    async with gateways(config) as (gateway,):
        address = Address.of(gateway.listen[1])
        old, _, writer = await shown_by(address)
        writer.close()
        write_identity(place / "gateway.pem", place / "unused.key", "new.clockify.me")
        await gateway.logged(REFUSED + r"gateway\.tls\.key: the private key is not that of the certificate")
        still, _, writer = await shown_by(address)
        writer.close()
        assert still == old


async def test_what_the_control_plane_cannot_take_over_the_gateway_does_not_go_on_by(
    place: Path, ports: dict[str, int], other: Origin
) -> None:
    write_identity(place / "control.pem", place / "control.key", "control.clockify.me")
    listener = 'listen = ["127.0.0.1:0"]\ntls = { cert = "control.pem", key = "control.key" }'
    tables = f"[control]\nopen_to_loopback = true\n{listener}"
    source = Source(write_configuration(place, ports, tables=tables), {})
    async with running(source.read().settings) as process:

        async def answers() -> bytes:
            client = await Client.connect(Address.of(process.listen[0]))
            answer = await client.ask(GET)
            client.close()
            return answer.body if answer.status == 200 else b""

        async def is_ready() -> bool:
            return await answers() == b"region"

        await eventually(is_ready)
        write_configuration(place, {**ports, "eu": other.port}, tables=tables)
        wanted = source.read()
        # Judged a moment ago, and gone since.
        (place / "control.pem").write_text("")
        with pytest.raises(OSError, match="PEM"):
            await process.adopt(wanted)
        assert await answers() == b"region"


# --- the watch


def test_a_file_is_news_once_it_has_been_the_same_at_two_looks(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    watch = Watch([file])
    file.write_text("one two")
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_still_being_written_is_no_news(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    watch = Watch([file])
    for length in range(1, 5):
        file.write_text("x" * length)
        assert not watch.changed()
    assert watch.changed()


def test_a_file_that_comes_and_goes_is_news(tmp_path: Path) -> None:
    file = tmp_path / "file"
    watch = Watch([file])
    file.write_text("here")
    assert [watch.changed() for _ in range(2)] == [False, True]
    file.unlink()
    assert [watch.changed() for _ in range(2)] == [False, True]


def test_a_file_that_was_only_touched_says_the_same(tmp_path: Path) -> None:
    config = write_configuration(tmp_path, {"global": 1, "eu": 2, "us": 3})
    source = Source(config, {})
    before = source.read()
    os.utime(config, (1, 1))
    assert source.glance(before.settings.files) == before.digest
