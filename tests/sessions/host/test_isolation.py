"""From inside a desktop: what can be reached of the host, the platform and other sessions. It should be nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from uuid import UUID

import pytest

from sessions.states import State

from .conftest import UID_BASE, Installation

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def desktop(installation: Installation) -> Iterator[tuple[Installation, UUID, UUID]]:
    """Two running sessions; the first is the one that is broken into."""
    installation.start_agent()
    first, second = installation.launch("sleep 120"), installation.launch("sleep 120", network="internet")
    installation.until(first, State.RUNNING)
    installation.until(second, State.RUNNING)
    yield installation, first, second


def test_a_desktop_reaches_nothing_of_the_host(desktop: tuple[Installation, UUID, UUID]) -> None:
    installation, first, second = desktop

    def inside(script: str) -> str:
        done = installation.inside(first, script)
        return f"{done.stdout}\n{done.stderr if done.returncode else ''}".strip()

    # The ordinary things work, or the rest would prove nothing.
    assert inside("id -un; hostname; echo $HOME") == "user\ndesktop\n/home/user"
    assert "dimensions" in inside("xdpyinfo")
    assert inside("echo hello > ~/file && cat ~/file; echo x > /tmp/x && cat /tmp/x /dev/null") == "hello\nx"

    # Redis, the database, the installation, the agent's files
    for path in (installation.redis_socket, installation.state, installation.runtime, installation.directory):
        assert "No such file" in inside(f"ls {path}")
    assert inside("ls -A /root /var/lib /srv /mnt /etc/shadow /etc/stripedesk /sys 2>&1 | grep -v 'No such file'") == ""
    assert inside("find / -xdev -name '*.sqlite3' -o -xdev -name redis.sock 2>/dev/null") == ""

    # The web port and everything else on the loopback interface
    with socket.create_server(("127.0.0.1", 0)) as web:
        port = web.getsockname()[1]
        assert "Connection refused" in inside(f"echo > /dev/tcp/127.0.0.1/{port}")
    assert inside("ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '") == "lo"

    # Other sessions' X servers, files and processes; the host's processes
    assert inside("ls /tmp/.X11-unix") == "X0"
    assert str(installation.paths(second).x_socket) not in inside("cat /proc/net/unix")
    assert "@/tmp/.X11-unix" not in inside("cat /proc/net/unix")
    assert inside("pgrep -c -x sleep") == "1"  # its own; the other session has one too
    assert "manage.py" not in inside("ps -eo args") and "run_agent" not in inside("ps -eo args")
    assert inside("ipcs -m | grep -c 0x") == "0"

    # No secrets in any environment it can read, no privilege and no way to one
    environment = inside("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | cut -d= -f1 | sort -u").split()
    known = (
        "DBUS_SESSION_BUS_ADDRESS DISPLAY GTK2_RC_FILES HOME LANG NO_AT_BRIDGE OLDPWD PATH PWD SHELL SHLVL TERM USER"
    )
    assert set(environment) <= {
        *known.split(),
        *["XAUTHORITY", "XDG_CONFIG_DIRS", "XDG_DATA_DIRS", "XDG_RUNTIME_DIR", "_"],
        # What the start script was told, and does not pass on.
        *["STRIPEDESK_DPI", "STRIPEDESK_LAYOUT", "STRIPEDESK_VARIANT"],
    }
    assert "a-secret-of-the-host" not in inside("grep -az a-secret-of-the-host /proc/[0-9]*/environ 2>/dev/null")
    start = inside("cat /proc/$(pgrep -o -x sh)/status")
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Groups:\t "):
        assert line in start
    assert f"Uid:\t{UID_BASE + 2 * installation.session(first).spawner_state['slot']}\t" in start
    assert "Read-only file system" in inside("touch /usr/x")
    assert "denied" in inside("touch /etc/x; mount -t tmpfs x /mnt; cat /run/../proc/1/environ")


def test_the_internet_leads_not_back_to_this_machine(desktop: tuple[Installation, UUID, UUID]) -> None:
    installation, _, second = desktop
    routes = installation.inside(second, "cat /proc/net/route").stdout
    assert "tap0" in routes
    with socket.create_server(("0.0.0.0", 0)) as everywhere, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        port = everywhere.getsockname()[1]
        probe.connect(("192.0.2.1", 9))  # sends nothing: finds out which address this machine would use
        own = probe.getsockname()[0]
        socket.create_connection((own, port), 2).close()  # the service is there
        for address in (own, "10.0.2.2", "127.0.0.1", "169.254.169.254"):
            done = installation.inside(second, f"timeout 3 bash -c 'echo > /dev/tcp/{address}/{port}'")
            assert done.returncode == 1, f"{address}: {done}"
            assert "No route" in done.stderr or "unreachable" in done.stderr or "refused" in done.stderr
    assert "denied" in installation.inside(second, "/usr/sbin/ip route flush table main 2>&1 || echo denied").stdout


def test_two_sessions_have_uids_of_their_own(desktop: tuple[Installation, UUID, UUID]) -> None:
    installation, first, second = desktop
    uids = [installation.inside(pk, "id -u; id -G").stdout.split() for pk in (first, second)]
    assert uids[0] != uids[1] and all(len(set(pair)) == 1 for pair in uids)
    # What one can see of the host by path alone, were the sandbox not there, is closed by permissions too.
    assert installation.paths(first).runtime.stat().st_mode & 0o077 == 0
    assert installation.paths(first).data.stat().st_mode & 0o077 == 0
