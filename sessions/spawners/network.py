"""A sandbox's way to the internet: slirp4netns, with this machine's own services closed.

The host's loopback is closed by slirp4netns itself. Its other addresses would be reached like any machine's, so
unreachable routes inside the sandbox's network namespace close those it has at start, and the cloud's metadata
service; nobody inside has the capability to remove them. docs/explanation/sandbox.md says what stays open.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
from pathlib import Path

from ..states import Reason
from .base import SpawnError
from .processes import ProcessId
from .report import last_lines

CANDIDATES = tuple(ipaddress.IPv4Network(text) for text in ("10.0.2.0/24", "10.73.2.0/24", "192.168.213.0/24"))
METADATA = ipaddress.IPv4Address("169.254.169.254")
READY_WITHIN = 10.0
NS_GET_USERNS = 0xB701
"""ioctl_ns(2): the user namespace that owns a namespace."""


def host_interfaces() -> list[ipaddress.IPv4Interface]:
    """Return this machine's IPv4 addresses with their networks, loopback left out. Blocks for a few ms."""
    try:
        output = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, timeout=5, check=True).stdout  # noqa: S607
        links = json.loads(output)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SpawnError(
            Reason.NO_SANDBOX, f"This machine's addresses cannot be read, to be closed: {error}. Install iproute2."
        ) from None
    found = [
        ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")
        for link in links
        for entry in link.get("addr_info", ())
        if "local" in entry
    ]
    return [interface for interface in found if not interface.ip.is_loopback]


def choose_network(interfaces: list[ipaddress.IPv4Interface]) -> ipaddress.IPv4Network:
    """Return a network for the sandbox that overlaps none of the host's."""
    for candidate in CANDIDATES:
        if not any(candidate.overlaps(interface.network) for interface in interfaces if interface.network.prefixlen):
            return candidate
    return CANDIDATES[0]


def resolver_of(network: ipaddress.IPv4Network) -> ipaddress.IPv4Address:
    """Return the address at which slirp4netns answers name queries."""
    return network.network_address + 3


async def connect(
    init: ProcessId, network: ipaddress.IPv4Network, interfaces: list[ipaddress.IPv4Interface], log: Path
) -> subprocess.Popen[bytes]:
    """Give the network namespace of ``init`` a way out; return slirp4netns. Raises `SpawnError`."""
    if shutil.which("slirp4netns") is None:
        raise SpawnError(Reason.NO_SANDBOX, "This template needs the internet, and slirp4netns is not installed.")
    ready_read, ready_write = os.pipe()
    options = ["--configure", "--mtu=65520", f"--cidr={network}", "--disable-host-loopback", "--enable-seccomp"]
    inherited = [ready_write]
    owner = -1
    try:
        if os.geteuid() == 0:
            options.append("--enable-sandbox")  # needs to mount; without root that fails on some kernels
        else:
            owner = owner_of_network(init)
            inherited.append(owner)
            options.append(f"--userns-path=/proc/self/fd/{owner}")
        line = ["slirp4netns", *options, f"--ready-fd={ready_write}", str(init.pid), "tap0"]
        with log.open("ab") as output:
            slirp = subprocess.Popen(  # noqa: S603, ASYNC220 - forking takes a millisecond
                line,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        os.close(ready_write)
        ready_write = -1
        ready = await _readable(ready_read, READY_WITHIN) and os.read(ready_read, 1) == b"1"
    finally:
        for descriptor in (ready_read, ready_write, owner):
            if descriptor >= 0:
                os.close(descriptor)
    try:
        if not ready:
            said = " | ".join(line for line in last_lines(log, 6) if "WARNING" not in line) or "it says nothing"
            raise SpawnError(Reason.NO_SANDBOX, f"slirp4netns could not connect the sandbox: {said:.300}")
        await asyncio.to_thread(_close_host, init, interfaces)
    except BaseException:
        slirp.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            slirp.wait(2)
        raise
    return slirp


def owner_of_network(init: ProcessId) -> int:
    """Return a descriptor of the user namespace that owns the network namespace of ``init``. Raises OSError.

    It need not be the one ``init`` is in: bubblewrap makes a second one inside, which has no say over the network.
    """
    network = os.open(f"/proc/{init.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(network, NS_GET_USERNS)
    finally:
        os.close(network)


def _close_host(init: ProcessId, interfaces: list[ipaddress.IPv4Interface]) -> None:
    """Make the host's own addresses unreachable from inside. Blocks for a few ms."""
    enter = ["nsenter", "--target", str(init.pid), "--net"]
    owner = -1
    if os.geteuid() != 0:
        owner = owner_of_network(init)
        enter += [f"--user=/proc/self/fd/{owner}", "--preserve-credentials"]
    batch = "".join(f"route add unreachable {address}/32\n" for address in {i.ip for i in interfaces} | {METADATA})
    try:
        result = subprocess.run(  # noqa: S603
            [*enter, "ip", "-batch", "-"],
            input=batch,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            pass_fds=(owner,) if owner >= 0 else (),
        )
    finally:
        if owner >= 0:
            os.close(owner)
    if result.returncode:
        raise SpawnError(
            Reason.NO_SANDBOX, f"This machine's own addresses could not be closed: {result.stderr.strip():.200}"
        )


async def _readable(descriptor: int, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
