"""agentd.front.ports"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.errors import TakenError
from agentd.front import ports
from tests.requirements import need_root


def test_a_taken_port_is_named() -> None:
    """A port in use is an error with its address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TakenError, match=f"127.0.0.1:{port}"):
            asyncio.run(ports.open_port(f"127.0.0.1:{port}"))


def test_an_address_that_is_not_ours_may_become_so() -> None:
    """It may still be being configured; the host must not be without a watcher for that."""
    with pytest.raises(TakenError, match=r"192\.0\.2\.1"):
        asyncio.run(ports.open_port("192.0.2.1:9847"))


@pytest.mark.parametrize("listen", ["[fe80::1%nodevice]:9847", "no.such.name.invalid:9847"])
def test_a_name_that_nobody_knows(listen: str) -> None:
    """Of a network device or of a host: it may become known."""
    with pytest.raises(TakenError, match="does not know that name"):
        asyncio.run(ports.open_port(listen))


def test_a_port_that_only_root_may_have() -> None:
    """That is a mistake in the configuration."""
    code = """
import asyncio, os, sys
from agentd.errors import ConfigError
from agentd.front import ports
os.setuid(65534)
try:
    asyncio.run(ports.open_port("127.0.0.1:1"))
except ConfigError as error:
    sys.exit(f"{type(error).__name__}: {error.message}")
"""
    need_root()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("ConfigError: ")
    assert "Permission denied" in done.stderr


def test_both_protocols() -> None:
    """``[::]`` answers IPv4, too, as everybody expects who does not know of IPV6_V6ONLY."""
    with asyncio.run(ports.open_port("[::]:0")) as sock:
        port = sock.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, port), timeout=30):
                pass


def test_one_protocol() -> None:
    """An address answers itself alone."""
    with asyncio.run(ports.open_port("[::1]:0")) as sock, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sock.getsockname()[1]), timeout=30)


def test_a_link_local_address() -> None:
    """With its zone, the device's name, it can be listened at."""
    lines = Path("/proc/net/if_inet6").read_text().splitlines()
    local = [line.split() for line in lines if line.startswith("fe80")]
    if not local:
        pytest.skip("needs a link-local address")
    address, _, _, _, _, device = local[0]
    host = ":".join(address[start : start + 4] for start in range(0, 32, 4))
    with asyncio.run(ports.open_port(f"[{host}%{device}]:0")) as sock:
        assert sock.getsockname()[3] == socket.if_nametoindex(device)


def test_a_port_that_becomes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it keeps nobody from starting; it is opened when it is free again."""
    monkeypatch.setattr(ports, "_AGAIN_SECONDS", 0.01)
    opened: list[socket.socket] = []

    async def main() -> int:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
            opening = asyncio.create_task(ports.open_later(f"127.0.0.1:{port}", opened.append))
            await asyncio.sleep(0.1)
            assert not opened
        async with asyncio.timeout(30):
            await opening
        return port

    port = asyncio.run(main())
    with opened[0] as sock:
        assert sock.getsockname()[1] == port
