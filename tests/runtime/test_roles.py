"""Roles: which planes a process runs, alone or with workers, and that the control plane follows its configuration."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from typing import TYPE_CHECKING

import pytest

from tests.gateway.stage import GET
from tests.gateway.wire import Client
from tests.runtime.gateways import Address, GatewayProcess, gateways, write_configuration

if TYPE_CHECKING:
    from pathlib import Path

SOON = "drain_delay = 0.0"


def token(secret: str) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f'[[control.tokens]]\nname = "job"\nscopes = ["read"]\nhash = "{digest}"\n'


def configured(place: Path, ports: dict[str, int], control: str) -> Path:
    config = write_configuration(place, ports, gateway=SOON)
    write(config, config.read_text("utf-8") + control)
    return config


def write(config: Path, text: str) -> None:
    config.write_text(text, "utf-8")


async def control_status(address: Address, secret: str) -> int:
    """What the control API says to whoever shows that token."""
    reader, writer = await asyncio.open_connection(*address)
    lines = f"Host: ops\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
    writer.write(f"GET /control/v1/regions HTTP/1.1\r\n{lines}".encode())
    answer = await reader.read()
    writer.close()
    return int(answer[9:12])


async def serves_clients(gateway: GatewayProcess) -> bool:
    client = await Client.connect(gateway.address)
    answer = await client.ask(GET)
    client.close()
    return answer.status == 200


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_all_serves_clients_and_the_control_api(place: Path, ports: dict[str, int], workers: str) -> None:
    config = configured(place, ports, token("secret-of-the-job-1"))
    async with gateways(config, options=("--workers", workers)) as (gateway,):
        assert await serves_clients(gateway)
        assert await control_status(gateway.ops, "secret-of-the-job-1") == 200


async def test_a_gateway_alone_has_no_control_api(place: Path, ports: dict[str, int]) -> None:
    config = configured(place, ports, token("secret-of-the-job-1"))
    async with gateways(config, options=("--role", "gateway")) as (gateway,):
        assert await serves_clients(gateway)
        assert await control_status(gateway.ops, "secret-of-the-job-1") == 404


async def test_a_control_plane_alone_listens_for_no_client(place: Path, ports: dict[str, int]) -> None:
    config = configured(place, ports, token("secret-of-the-job-1"))
    async with gateways(config, options=("--role", "control")) as (process,):
        assert not any("listening on" in line for line in process.log)
        assert await control_status(process.ops, "secret-of-the-job-1") == 200
        assert await process.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_another_token_is_known_after_a_reload_and_the_old_one_is_not(
    place: Path, ports: dict[str, int], workers: str
) -> None:
    config = configured(place, ports, token("secret-of-the-job-1"))
    async with gateways(config, options=("--workers", workers)) as (gateway,):
        write(config, config.read_text("utf-8").replace(token("secret-of-the-job-1"), token("secret-of-the-job-2")))
        gateway.send(signal.SIGHUP)
        await gateway.logged("configuration .* is in force")
        assert await control_status(gateway.ops, "secret-of-the-job-1") == 401
        assert await control_status(gateway.ops, "secret-of-the-job-2") == 200


async def test_a_new_region_can_be_asked_for_after_a_reload(place: Path, ports: dict[str, int]) -> None:
    config = configured(place, ports, "[control]\nopen_to_loopback = true\n")
    async with gateways(config) as (gateway,):
        uk = f'[regions.uk]\norigin = "http://127.0.0.1:{ports["eu"]}"\npublic_url = "https://euw2.clockify.me"\n'
        write(config, config.read_text("utf-8") + uk)
        gateway.send(signal.SIGHUP)
        await gateway.logged("configuration .* is in force")
        reader, writer = await asyncio.open_connection(*gateway.ops)
        writer.write(b"GET /control/v1/regions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert b'"uk"' in answer
