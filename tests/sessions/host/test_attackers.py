"""Plays the attacker from inside a desktop and from inside a worker, against another session and the host.

Every attempt is a program that prints "open" where it gets through. The same program is run by somebody who may
(the other session itself, the host, or the attacker once the door was opened for him) and must say so: an attempt that
cannot succeed proves nothing.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from sessions.spawners import xauth
from sessions.states import State

from .conftest import REDIS_PASSWORD, Installation
from .insider import COMMAND, in_desktop, in_worker

pytestmark = pytest.mark.usefixtures("root")


@dataclass
class Siege:
    """Two sessions on one host: ``mine`` attacks, ``his`` is attacked."""

    installation: Installation
    mine: UUID
    his: UUID

    def desktop(self, code: str) -> str:
        return in_desktop(self.installation, self.mine, code)

    def worker(self, code: str) -> str:
        return in_worker(self.installation, self.mine, code)

    def neighbour(self, code: str) -> str:
        return in_desktop(self.installation, self.his, code)

    def host(self, code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
        return done.stdout.strip() + done.stderr[-300:]

    def init(self, pk: UUID) -> int:
        return int(self.installation.session(pk).spawner_state["init"]["pid"])

    def script(self, pk: UUID) -> int:
        return int(self.installation.session(pk).spawner_state["script"]["pid"])


@pytest.fixture
def siege(installation: Installation) -> Iterator[Siege]:
    installation.start_agent("obey")
    mine, his = installation.launch(COMMAND), installation.launch(COMMAND, network="internet")
    for pk in (mine, his):
        installation.until(pk, State.RUNNING)
    yield Siege(installation, mine, his)


def attempt(body: str) -> str:
    """A program that prints "open", or how it was stopped."""
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    stopped = "except OSError as error:\n    print(error.strerror or error)"
    return f"import os, socket, struct\ntry:\n{indented}\n    print('open')\n{stopped}"


def connects(address: str, family: str = "AF_UNIX") -> str:
    return attempt(f"s = socket.socket(socket.{family})\ns.settimeout(4)\ns.connect({address})")


def draws_on(path: str, cookie: bytes) -> str:
    """Opens a display as a client would, with ``cookie``."""
    return attempt(f"""
s = socket.socket(socket.AF_UNIX)
s.connect({path!r})
s.sendall(struct.pack("<BxHHHHxx", 0x6C, 11, 0, 18, 16) + b"MIT-MAGIC-COOKIE-1\\0\\0" + {cookie!r})
if s.recv(1) != b"\\1":
    raise OSError("the X server refuses")
""")


def test_no_desktop_or_worker_reaches_another_session_or_the_host(siege: Siege) -> None:
    both = (siege.desktop, siege.worker)
    paths, own_paths = siege.installation.paths(siege.his), siege.installation.paths(siege.mine)

    def closed(code: str, insider: str, *words: str, attackers: object = both) -> None:
        assert insider == "open", f"the attempt proves nothing: {insider}\n{code}"
        for attacker in attackers:  # type: ignore[attr-defined]
            said = attacker(code)
            assert said != "open" and any(word in said for word in words), f"{said}\n{code}"

    # Its X server: the socket is not there, and the cookie of one is refused by the other.
    cookie = xauth.unpack(paths.authority.read_bytes())
    code = draws_on(str(paths.x_socket), cookie)
    closed(code, siege.host(code), "No such file")
    code = draws_on("/tmp/.X11-unix/X0", cookie)
    closed(code, siege.neighbour(code), "the X server refuses", attackers=[siege.desktop])
    code = draws_on(str(own_paths.x_socket), cookie)
    assert siege.worker(code) == "the X server refuses"
    assert siege.worker(draws_on(str(own_paths.x_socket), xauth.unpack(own_paths.authority.read_bytes()))) == "open"

    # Files: its home, its secrets, the installation's, and by way of /proc
    (siege.installation.home(siege.his) / "diary").write_text("secret")
    init, script = siege.init(siege.his), siege.script(siege.his)
    for path in (
        f"/proc/{script}/root/home/user/diary",
        f"/proc/{script}/environ",
        str(paths.authority),
        str(paths.worker_config),
        str(siege.installation.state / "stripedesk.sqlite3"),
        "/etc/shadow",
        f"/proc/{os.getpid()}/environ",
    ):
        code = attempt(f"open({path!r}).close()")
        closed(code, siege.host(code), "No such file", "Permission denied")
    assert siege.neighbour(attempt("open('/home/user/diary').close()")) == "open"

    # Processes: it sees none to signal, trace or read; the same numbers are its own or nobody's.
    for pid in (init, script, os.getpid(), siege.installation.agents[0].pid):
        code = attempt(f"os.kill({pid}, 0)")
        closed(code, siege.host(code), "No such process")
    count = "import os\nprint('open' if sum(n.isdigit() for n in os.listdir('/proc')) > 60 else 'few')"
    closed(count, siege.host(count.replace("> 60", "> 6")), "few")
    # The sandbox's own init is not its user's, and not to be looked into; the host sees it under another number.
    look = "open('/proc/{0}/environ').read(); os.readlink('/proc/{0}/root')"
    insider = siege.host(attempt(look.format(siege.init(siege.mine))))
    closed(attempt(look.format(1)), insider, "Permission denied", "Operation not permitted")

    # Shared memory, both kinds
    make = (
        "import ctypes\nopen('/dev/shm/left', 'w').write('x')\nprint(ctypes.CDLL(None).shmget(0x5EC2E7, 4096, 0o1666))"
    )
    assert int(siege.neighbour(make)) >= 0
    code = attempt("import ctypes\nif ctypes.CDLL(None).shmget(0x5EC2E7, 0, 0) < 0: raise OSError('no segment')")
    closed(code, siege.neighbour(code), "no segment")
    code = attempt("open('/dev/shm/left').close()")
    closed(code, siege.neighbour(code), "No such file")

    # The host's services: loopback, abstract sockets, Redis's socket
    with socket.create_server(("127.0.0.1", 0)) as web, socket.socket(socket.AF_UNIX) as bus:
        code = connects(f"('127.0.0.1', {web.getsockname()[1]})", "AF_INET")
        closed(code, siege.host(code), "Connection refused", "not supported")
        bus.bind("\0stripedesk-test-bus")
        bus.listen()
        code = connects("'\\0stripedesk-test-bus'")
        closed(code, siege.host(code), "Connection refused")
    code = connects(repr(str(siege.installation.redis_socket)))
    closed(code, siege.host(code), "No such file", attackers=[siege.desktop])
    assert siege.worker(code) == "open"  # it needs it; what it may do there is the next test's

    # The neighbour's services, the same two ways
    serve = """
import os, socket, time
tcp, bus = socket.create_server(("127.0.0.1", 7777)), socket.socket(socket.AF_UNIX)
bus.bind("\\0neighbours-bus")
bus.listen()
if os.fork() == 0:
    os.setsid()
    os.dup2(os.open("/dev/null", os.O_RDWR), 1)
    os.dup2(1, 2)
    time.sleep(30)
    os._exit(0)
"""
    siege.neighbour(serve)
    code = connects("('127.0.0.1', 7777)", "AF_INET")
    closed(code, siege.neighbour(code), "Connection refused", "not supported")
    code = connects("'\\0neighbours-bus'")
    closed(code, siege.neighbour(code), "Connection refused")

    # Nothing in its environment, or in that of any process it may read, names a secret of the host.
    said = (
        "import glob\nfor p in glob.glob('/proc/[0-9]*/environ'):\n try: print(open(p).read())\n except OSError: pass"
    )
    for attacker in both:
        assert "a-secret-of-the-host" not in attacker(said) and REDIS_PASSWORD not in attacker(said)
    assert REDIS_PASSWORD in siege.host(said)


def test_a_worker_reaches_nothing_of_others_in_redis(siege: Siege) -> None:
    his, mine = siege.his.hex, siege.mine.hex
    attempts = [
        f"c.get('stripedesk:session:{his}:status')",
        f"c.set('stripedesk:session:{his}:status', 'x')",
        f"c.delete('stripedesk:session:{his}:status')",
        f"c.zcount('stripedesk:session:{his}:viewers', 0, 1)",
        f"c.publish('stripedesk__group__session.{his}.worker', 'x')",
        f"c.publish('stripedesk-frames__group__session.{his}.frames', 'x')",
        f"c.execute_command('SUBSCRIBE', 'stripedesk-frames__group__session.{his}.frames')",
        "c.execute_command('PSUBSCRIBE', '*')",
        f"c.publish('stripedesk__group__session.{mine}x', 'x')",
        "c.keys('*')",
        "c.scan()",
        "c.config_get('*')",
        "c.flushall()",
        "c.client_list()",
        "c.execute_command('ACL', 'LIST')",
        "c.execute_command('ACL', 'SETUSER', 'mallory', 'on', 'nopass', '+@all')",
        "c.eval('return 1', 0)",
        "c.execute_command('MONITOR')",
        "c.shutdown()",
        "c.execute_command('REPLICAOF', '127.0.0.1', 1)",
    ]
    path = str(siege.installation.redis_socket)
    for code, said in json.loads(siege.worker(f"make = lambda: client\n{TRY_ALL.format(attempts=attempts)}")):
        assert said.startswith("NoPermissionError"), f"{code}: {said}"
    destructive = ("flushall", "shutdown", "SETUSER", "REPLICAOF", "set(", "delete", "MONITOR")
    harmless = [code for code in attempts if not any(part in code for part in destructive)]
    insider = f"make = lambda: redis.Redis(unix_socket_path={path!r}, password={REDIS_PASSWORD!r})"
    for code, said in json.loads(siege.host(f"import redis\n{insider}\n{TRY_ALL.format(attempts=harmless)}")):
        assert said == "open", f"{code}: {said}"
    # Somebody else's name, or none at all
    for more in ("", ", password='guess'", f", username='session-{his}', password='guess'"):
        said = siege.worker(STRANGER.format(path=path, more=more))
        assert "Authentication" in said or "invalid username-password" in said, said
    assert siege.host(STRANGER.format(path=path, more=f", password={REDIS_PASSWORD!r}")) == "open"
    # RESET makes a connection nobody's, not the default user's.
    assert "Authentication required" in siege.worker(RESET)
    # Its own things it may do, or it could not work.
    own = f"client.publish('stripedesk-frames__group__session.{mine}.frames', 'x')\n"
    assert siege.worker(f"{own}print(client.get('stripedesk:session:{mine}:status') is not None)") == "True"


TRY_ALL = """
import json, redis
said = []
for code in {attempts!r}:
    c = make()  # a connection that has subscribed does nothing else any more
    try:
        eval(code)
        said.append((code, "open"))
    except redis.RedisError as error:
        said.append((code, type(error).__name__))
print(json.dumps(said))
"""

STRANGER = """
import redis
try:
    redis.Redis(unix_socket_path={path!r}{more}).ping()
    print("open")
except redis.RedisError as error:
    print(error)
"""

RESET = """
c = client.connection_pool.get_connection("x")
c.send_command("RESET")
c.read_response()
c.send_command("GET", "x")
try:
    c.read_response()
    print("open")
except Exception as error:
    print(error)
c.disconnect()
"""


def test_the_internet_is_not_a_way_back_to_the_host_or_its_metadata(siege: Siege) -> None:
    """From the session that has internet. The insider is the same desktop, once the closing route is taken away."""
    with socket.create_server(("0.0.0.0", 0)) as everywhere, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        port = everywhere.getsockname()[1]
        probe.connect(("192.0.2.1", 9))  # sends nothing: finds out which address this machine would use
        own = probe.getsockname()[0]
        for address in (own, "169.254.169.254"):
            said = siege.neighbour(connects(f"({address!r}, {port})", "AF_INET"))
            assert "No route to host" in said or "unreachable" in said, said
        remove = ["nsenter", "-t", str(siege.init(siege.his)), "-n", "ip", "route", "del", "unreachable", own]
        subprocess.run(remove, check=True, capture_output=True)
        assert siege.neighbour(connects(f"({own!r}, {port})", "AF_INET")) == "open"
        assert "not permitted" in siege.neighbour(
            "import subprocess\nprint(subprocess.run(['ip', 'route', 'del', 'unreachable', '169.254.169.254'], "
            "capture_output=True, text=True).stderr)"
        )


def test_a_gpu_is_shown_only_where_a_template_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sessions.spawners import sandbox, seccomp
    from sessions.spawners.limits import Limits

    node = tmp_path / "renderD128"
    try:
        os.mknod(node, 0o660 | 0o020000, os.makedev(1, 3))  # /dev/null in disguise
    except PermissionError:
        pytest.skip("device nodes cannot be made here")
    node.chmod(0o660)
    os.chown(node, 0, 1_399_998)
    tmp_path.chmod(0o755)
    monkeypatch.setattr(sandbox, "GPU_NODES", (str(tmp_path / "renderD*"), "/nonexistent/nvidia*"))
    (tmp_path / "etc").mkdir()
    for gpu, words in ((True, "opened"), (False, "nonexistent")):
        rules = seccomp.descriptor_of(seccomp.desktop_filter())
        info, gate = os.open("/dev/null", os.O_WRONLY), os.open("/dev/null", os.O_RDONLY)
        line = sandbox.command_of_desktop(
            uid=1_399_999,
            etc=tmp_path / "etc",
            mounts=[],
            environment={"HOME": sandbox.HOME, "XDG_RUNTIME_DIR": "/run/user/1399999", "PATH": sandbox.PATH},
            descriptors=(info, gate, rules),
            limits=Limits(),
            gpu=gpu,
            command=["/bin/sh", "-c", f"exec 3<>{node} && echo opened"],
        )
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=20, pass_fds=(info, gate, rules), check=False
        )
        for descriptor in (info, gate, rules):
            os.close(descriptor)
        assert words in done.stdout + done.stderr
