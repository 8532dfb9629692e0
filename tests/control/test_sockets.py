"""The lock decides whose the control socket is; the socket file itself says nothing."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tests.control.engine import SmallEngine, served
from xfer.cli.client import Daemon
from xfer.control.sockets import ControlSocket
from xfer.errors import ControlError


def test_the_socket_is_for_its_owner_only_and_goes_with_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "run" / "c.sock"
    with served(SmallEngine(), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_a_second_daemon_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with served(SmallEngine(), path):
        with pytest.raises(ControlError, match=f"another xfer daemon \\(process {os.getpid()}\\)"):
            ControlSocket(path)
        assert Daemon(path).get("/server")["pid"] == 42


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with served(SmallEngine(), path):
        assert Daemon(path).get("/server")["pid"] == 42


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    path.write_text("mine")
    with ControlSocket(path) as claimed, pytest.raises(ControlError, match="cannot be made"):
        claimed.bind()
    assert path.read_text() == "mine"


def test_a_path_too_long_for_a_unix_socket_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="longer path than the 107 octets"):
        ControlSocket(tmp_path / ("x" * 108))


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlError, match=r"cannot be made \(.+\): set `control` in \[server\]"):
        ControlSocket(tmp_path / "file" / "c.sock")


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    ControlSocket(path).close()
    ControlSocket(path).close()
