"""The demo's beginning and end: what is in its way, and what it leaves behind."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.demo.running import W, running_demo, spawn

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.running import Demo


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_leaves_nothing_behind(own_demo: Demo, number: signal.Signals) -> None:
    code, said = own_demo.end(number)
    assert code == 0
    assert "Traceback" not in said
    assert list(own_demo.folder.iterdir()) == []


def test_an_upload_that_stands_still_does_not_keep_it_from_ending(own_demo: Demo) -> None:
    with own_demo.connected() as connection:
        head = f"POST /api/v1/workspaces/{W}303/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"
        connection.sendall(head.encode())
        while own_demo.in_flight() == 0:
            pass
        code, said = own_demo.end()
    assert code == 0
    assert "Traceback" not in said
    assert list(own_demo.folder.iterdir()) == []


def test_a_signal_in_the_middle_of_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with spawn(tmp_path, "--port", "0", "--ops-port", "0") as process:
        while not list(tmp_path.iterdir()):
            assert process.poll() is None
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--port", "--ops-port"])
def test_a_port_that_is_taken_is_one_line_with_the_mend_and_exit_code_2(tmp_path: Path, option: str) -> None:
    options = {"--port": "0", "--ops-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as other:
        options[option] = str(other.getsockname()[1])
        with spawn(tmp_path, *(word for pair in options.items() for word in pair)) as process:
            shown, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert shown == ""
    (line,) = said.splitlines()
    assert line.startswith(f"error: {option}: 127.0.0.1:{options[option]}: address already in use; mend: ")
    assert list(tmp_path.iterdir()) == []


def test_one_port_for_both_listeners_is_refused(tmp_path: Path) -> None:
    with spawn(tmp_path, "--port", "8099", "--ops-port", "8099") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "give each listener its own port" in said
    assert list(tmp_path.iterdir()) == []


def test_the_environment_of_a_real_gateway_is_none_of_its_business(tmp_path: Path) -> None:
    with running_demo(tmp_path, REGION_ROUTER__DIRECTORY__URL="sqlite:////nowhere/directory.db") as demo:
        assert demo.get(f"/api/v1/workspaces/{W}302/projects").json["region"] == "eu"
