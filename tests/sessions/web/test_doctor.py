"""The doctor: each thing is broken, and is named with a remedy; a sound machine has nothing wrong."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from sessions.doctor import database, desktop, engine, hosts, isolation, machine, probes, redis_server, templates, web
from sessions.doctor.finding import Finding, Verdict
from sessions.doctor.probes import PROBES, Probe
from sessions.models import SessionHost, SessionTemplate
from stripeengine.cli import doctor as of_engine

DOCS = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "reference" / "doctor.md"


def seen(findings: Any, verdict: str, words: str) -> bool:
    """Whether one of ``findings`` has this verdict and says ``words``; what is wrong has a remedy."""
    rows: list[Finding] = list(findings)
    assert all(row.remedy for row in rows if row.verdict is not Verdict.OK)
    assert any(row.verdict == verdict and re.search(words, row.detail) for row in rows), rows
    return True


def conf_with(settings: Any, **changes: Any) -> None:
    settings.STRIPEDESK = {**settings.STRIPEDESK, **changes}


# ---- the command -----------------------------------------------------------------------------------------------


def test_every_probe_is_documented_in_its_own_words() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [(probe.name, probe.sentence) for probe in PROBES]
    assert all(probe.sentence.endswith(".") for probe in PROBES)


def test_the_command_tells_and_fails_where_something_is_wrong(settings: Any, db: None) -> None:
    out = StringIO()
    call_command("doctor", "secret-key", "static-files", stdout=out)
    assert "2 ok, 0 warn, 0 fail" in out.getvalue()
    settings.SECRET_KEY = "short\x1b[2J"
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "secret-key", "static-files", stdout=out)
    assert ended.value.code == 1
    assert "fail  secret-key     the secret key can be guessed\n" in out.getvalue()
    assert "→ remove STRIPEDESK_SECRET_KEY" in out.getvalue() and "\x1b" not in out.getvalue()


def test_the_command_speaks_json(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "addresses", "--json", stdout=out)
    rows = json.loads(out.getvalue())
    assert {row["verdict"] for row in rows} == {"fail"} and {*rows[0]} == {"probe", "verdict", "detail", "remedy"}


def test_an_unknown_probe_is_refused() -> None:
    with pytest.raises(CommandError, match="no probe called 'nothing'. Known are: settings, packages"):
        call_command("doctor", "nothing")


def test_a_probe_that_fails_itself_ends_no_report() -> None:
    def broken() -> Any:
        """Breaks."""
        raise ZeroDivisionError("x")

    rows = list(probes.run_all([Probe("broken", broken), *PROBES[:1]]))
    assert [row.verdict for _, row in rows] == ["fail", "ok"]
    assert "ZeroDivisionError" in rows[0][1].detail and rows[0][1].remedy


def test_it_runs_where_nothing_works(tmp_path: Path) -> None:
    """No Redis, an empty database, an unknown spawner: a report, not a traceback."""
    root = DOCS.parent.parent.parent
    environment = {
        **{"PATH": os.environ["PATH"], "STRIPEDESK_STATE_DIR": str(tmp_path), "STRIPEDESK_SPAWNER": "clouds"},
        **{"REDIS_URL": f"unix://{tmp_path}/none", "STRIPEDESK_RUNTIME_DIR": str(tmp_path / "run")},
        **{"STRIPEDESK_SECRET_KEY": "x", "DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite3"},
    }
    line = [str(root / ".venv" / "bin" / "python"), "manage.py", "doctor", "--json"]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    failed = {row["probe"] for row in json.loads(done.stdout) if row["verdict"] == "fail"}
    assert failed >= {"redis", "channel-layers", "database", "secret-key", "checks", "spawner"}
    assert "could not be looked at" not in done.stdout


# ---- the machine -----------------------------------------------------------------------------------------------


def test_missing_packages_are_named(tmp_path: Path) -> None:
    listed = tmp_path / "packages.txt"
    listed.write_text("[build]\nnot-for-running\n[run]\n# why\nno-such-package\nnor-this sh\n[test]\nnot-this\n")
    (row,) = machine.packages(listed)
    assert (row.verdict, row.detail) == ("warn", "not installed: no-such-package")
    assert row.remedy == "apt-get install --no-install-recommends no-such-package"
    assert seen(machine.packages(tmp_path / "none"), "ok", "no packages.txt")


@pytest.mark.parametrize(
    ("blocks", "inodes", "verdict", "words"),
    [(10, 10_000, "fail", "0.0 GiB free"), (400_000, 10_000, "warn", "1.5 GiB"), (9_000_000, 99, "fail", "99 files")],
)
def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, inodes: int, verdict: str, words: str
) -> None:
    state = SimpleNamespace(f_bavail=blocks, f_frsize=4096, f_files=20_000, f_favail=inodes)
    monkeypatch.setattr(os, "statvfs", lambda path: state)
    assert seen(machine.disk(tmp_path), verdict, words)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert seen(machine.disk(tmp_path / "none"), "fail", "cannot be written")
    assert seen(machine.shared_memory(str(tmp_path / "none")), "warn", "No such file")


def test_small_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_blocks=16_384, f_frsize=4096))
    assert seen(machine.shared_memory(), "warn", "64 MiB")


def test_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 512))
    assert seen(machine.limits(), "warn", "256 open files") and seen(machine.limits(), "warn", "256 processes")


@pytest.mark.parametrize(("offset", "verdict"), [(0.0, "ok"), (5.0, "warn"), (-3600.0, "fail")])
def test_clocks_that_differ(redis_url: str, settings: Any, db: None, offset: float, verdict: str) -> None:
    settings.REDIS_URL = redis_url
    assert seen(machine.clocks(time.time() + offset), verdict, "Redis's clock")


# ---- what keeps sessions apart ---------------------------------------------------------------------------------


def test_no_sandbox(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(isolation.sandbox, "problem", lambda: "Not installed: bwrap (bubblewrap).")
    assert seen(isolation.bubblewrap(), "fail", "bwrap")
    conf_with(settings, ALLOW_UNSANDBOXED=True)
    assert seen(isolation.bubblewrap(), "warn", "WITHOUT A SANDBOX")


def test_a_kernel_without_namespaces(tmp_path: Path) -> None:
    assert seen(isolation.namespaces(tmp_path), "fail", "no namespaces of: mnt, pid")
    for name in isolation.NAMESPACES:
        (tmp_path / "self" / "ns" / name).mkdir(parents=True)
    assert seen(isolation.namespaces(tmp_path), "ok", "all")
    (tmp_path / "sys" / "user").mkdir(parents=True)
    (tmp_path / "sys" / "user" / "max_user_namespaces").write_text("0\n")
    assert seen(isolation.namespaces(tmp_path), "warn", "switched off")


def test_control_groups_of_every_kind(tmp_path: Path) -> None:
    assert seen(isolation.cgroups(tmp_path), "warn", "no control group for: cpu, memory, pids")
    for name in isolation.CONTROLLERS:
        (tmp_path / name).mkdir()
    assert seen(isolation.cgroups(tmp_path), "ok", "v1, writable")
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    assert seen(isolation.cgroups(tmp_path), "warn", "v2 lacks: memory, pids")
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    assert seen(isolation.cgroups(tmp_path), "ok", "v2, writable")


def test_uids_that_are_somebodys(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = SimpleNamespace(pw_name="olga", pw_uid=settings.STRIPEDESK["UID_BASE"] + 3)
    monkeypatch.setattr(isolation.pwd, "getpwall", lambda: [user])
    assert seen(isolation.uids(), "fail", "hold users of this machine: olga")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert seen(isolation.uids(), "warn", "not root")


def test_no_network_for_templates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(isolation.shutil, "which", lambda name: f"/bin/{name}")
    assert seen(isolation.network(tmp_path / "tun"), "warn", "there is no .*tun")
    monkeypatch.setattr(isolation.shutil, "which", lambda name: None)
    assert seen(isolation.network(), "warn", "cannot start")


# ---- what desktops show ----------------------------------------------------------------------------------------


def test_no_x_server_and_an_old_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = "-screen -auth -dpi -nolisten -noreset -schedInterval -extension"
    (tmp_path / "Xvfb").write_text(f"#!/bin/sh\necho '{options}' >&2\n")
    (tmp_path / "Xvfb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert seen(desktop.xvfb(), "fail", "no -displayfd$")
    monkeypatch.setenv("PATH", "")
    (row,) = desktop.xvfb()
    assert row.verdict == "fail" and "Xvfb (xvfb)" in row.detail and row.remedy.startswith("apt-get install openbox ")


def test_missing_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "fonts.conf"
    config.write_text("<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'><fontconfig/>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(config))
    rows = list(desktop.fonts())
    assert [row.verdict for row in rows] == ["warn"] * len(desktop.SCRIPTS)
    assert rows[0].remedy == "apt-get install fonts-wqy-microhei" and "Chinese" in rows[0].detail


def test_this_machine_shows_every_script() -> None:
    """packages.txt names the fonts, so that a machine set up by it shows all."""
    if any(row.verdict != "ok" for row in machine.packages()):
        pytest.skip("not all packages are installed")
    assert [row.verdict for row in desktop.fonts()] == ["ok"] * len(desktop.SCRIPTS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"command": "no-such-program --x"},
            "Terminal: there is no program called 'no-such-program' in /usr/local/bin",
        ),
        ({"command": "bin/x"}, "relative to a home directory"),
        ({"command": "/opt/x/y"}, "outside of what a sandbox sees"),
        ({"command": "/usr/bin/no-such-program"}, "there is no program '/usr/bin/no-such-program'"),
        ({"command": "xterm 'x"}, "cannot be read: No closing quotation"),
        ({"environment": "PATH=x"}, "cannot be read: .*PATH is set by the platform"),
        ({"locale": "tlh_AA.UTF-8"}, "no locale tlh_AA.UTF-8, so C.UTF-8 would be used"),
        ({"keyboard_layout": "us,de(nodeadkeys),qq(x)"}, r"no keyboard layout qq\(x\), so us would be used"),
    ],
)
def test_what_a_template_lacks(template: SessionTemplate, changes: dict[str, str], words: str) -> None:
    assert seen(templates.templates(), "ok", "Terminal: nothing lacks")
    SessionTemplate.objects.update(**changes)
    assert seen(templates.templates(), "warn", words)
    SessionTemplate.objects.update(enabled=False)
    assert seen(templates.templates(), "ok", "none")


def test_programs_where_a_sandbox_finds_them() -> None:
    for name in ("sh", "/bin/sh", "/usr/bin/env"):
        assert templates.missing_program(name) == ""


def test_the_engine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen(engine.engine(), "ok", "the C extension loads")
    lost = of_engine.Finding("engine", "missing", "no extension")
    monkeypatch.setattr(of_engine, "extension", lambda: iter([lost, of_engine.Finding("h264", "warning", "no x264")]))
    assert seen(engine.engine(), "fail", "no extension") and seen(engine.engine(), "warn", "no x264")


# ---- Redis -----------------------------------------------------------------------------------------------------


def test_no_redis_and_no_word_of_its_password(settings: Any, tmp_path: Path) -> None:
    settings.REDIS_URL = f"unix://default:hunter2@{tmp_path}/none"
    rows = list(redis_server.redis_server())
    assert seen(rows, "fail", "does not answer") and "hunter2" not in str(rows)


def test_a_wrong_password(private_redis: Any, settings: Any) -> None:
    with redis.Redis.from_url(private_redis.url) as client:
        client.acl_setuser("doctor", enabled=True, passwords=["+right"], commands=["+@all"], keys=["*"], channels=["*"])
    settings.REDIS_URL = f"unix://doctor:wrong@{private_redis.socket}"
    assert seen(redis_server.redis_server(), "fail", "does not (let us in|answer)")


def test_a_redis_that_is_set_up_for_something_else(private_redis: Any, settings: Any) -> None:
    settings.REDIS_URL = private_redis.url
    with redis.Redis.from_url(private_redis.url) as client:
        client.config_set("client-output-buffer-limit", "pubsub 64mb 32mb 20")
        client.config_set("save", "")
        assert {row.verdict for row in redis_server.redis_server()} == {"ok"}
        for limit, words in (("0 0 0", "unbounded"), ("1mb 1mb 20", "of 1 MiB")):
            client.config_set("client-output-buffer-limit", f"pubsub {limit}")
            assert seen(redis_server.redis_server(), "warn", words)
        client.config_set("save", "60 1")
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert seen(redis_server.redis_server(), "warn", "writes to disk")
        assert seen(redis_server.redis_server(), "warn", "drop any key")
        rules = {"commands": ["+@all", "-acl", "-config"], "keys": ["*"], "channels": ["*"]}
        client.acl_setuser("limited", enabled=True, nopass=True, **rules)
    settings.REDIS_URL = f"unix://limited:x@{private_redis.socket}"
    assert seen(redis_server.redis_server(), "warn", "may make no users")
    assert seen(redis_server.redis_server(), "ok", "may not be read")
    assert redis_server._version("6.2.1").verdict == "fail"


def test_channel_layers(settings: Any, tmp_path: Path, redis_url: str) -> None:
    def layers(url: str) -> dict[str, Any]:
        backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
        return {
            name: {"BACKEND": backend, "CONFIG": {"hosts": [url], "prefix": name}} for name in ("default", "frames")
        }

    settings.CHANNEL_LAYERS = layers(redis_url)
    assert [row.verdict for row in redis_server.channel_layers()] == ["ok", "ok"]
    settings.CHANNEL_LAYERS = layers(f"unix://{tmp_path}/none")
    assert seen(redis_server.channel_layers(), "fail", "no message came through the layer 'frames'")
    settings.CHANNEL_LAYERS = {"default": layers(redis_url)["default"]}
    assert seen(redis_server.channel_layers(), "fail", "there is no channel layer 'frames'")


# ---- the database, the web tier, hosts -------------------------------------------------------------------------


def test_a_sound_database(db: None) -> None:
    assert seen(database.database(), "ok", "all migrations") and seen(database.database(), "ok", "journal|connections")


def test_a_database_that_is_away(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OperationalError("connection refused\n  Is the server running?")

    with monkeypatch.context() as patched:
        patched.setattr(database, "MigrationExecutor", refuse)
        assert seen(database.database(), "fail", "does not answer: connection refused Is the server")


def test_a_database_that_is_behind(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        database.MigrationExecutor, "migration_plan", lambda self, targets: [("desktops.0004_x", False)]
    )
    assert seen(database.database(), "fail", "1 migrations are missing, first desktops.0004_x")


def test_several_hosts_on_sqlite(db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("needs SQLite")
    for name in ("a", "b"):
        SessionHost.objects.create(name=name)
    assert seen(database.database(), "warn", "several hosts on SQLite")


def test_sqlite_without_patience(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("needs SQLite")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        (before,) = cursor.fetchone()
        cursor.execute("PRAGMA busy_timeout = 100")
        assert seen(database.database(), "warn", "gives up after 0.1 s")
        cursor.execute(f"PRAGMA busy_timeout = {before}")


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({"ALLOWED_HOSTS": ["localhost"]}, "ok", "this machine alone"),
        ({"ALLOWED_HOSTS": []}, "fail", "no name is allowed"),
        ({"ALLOWED_HOSTS": ["*"]}, "fail", "every name is allowed"),
        ({"ALLOWED_HOSTS": ["desks.example.org"]}, "fail", "in the clear"),
        ({"ALLOWED_HOSTS": ["desks.example.org"], "DEBUG": True}, "fail", "debug pages"),
        ({"ALLOWED_HOSTS": ["desks.example.org"], "TLS": True}, "warn", "led to plain HTTP"),
        ({"CSRF_TRUSTED_ORIGINS": ["desks.example.org"]}, "fail", "is no origin"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://desks.example.org/path"]}, "fail", "is no origin"),
        ({"CSRF_TRUSTED_ORIGINS": ["http://desks.example.org"]}, "warn", "without TLS"),
    ],
)
def test_addresses(settings: Any, changes: dict[str, Any], verdict: str, words: str) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = changes.pop("TLS", False)
    for name, value in changes.items():
        setattr(settings, name, value)
    assert seen(web.addresses(), verdict, words)


def test_keys_that_can_be_guessed_or_read(settings: Any, tmp_path: Path) -> None:
    for key in ("short", "a" * 60, "django-insecure-" + "abcdefghij" * 6):
        settings.SECRET_KEY = key
        assert seen(web.secret_key(), "fail", "can be guessed")
    settings.SECRET_KEY = "abcdefghij" * 6
    conf_with(settings, STATE_DIR=tmp_path)
    (tmp_path / "secret-key").write_text("x")
    (tmp_path / "secret-key").chmod(0o644)
    assert seen(web.secret_key(), "fail", "others can read")
    (tmp_path / "secret-key").chmod(0o600)
    assert seen(web.secret_key(), "ok", "long")


def test_configuration_static_files_and_checks(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen(web.configuration(), "ok", "state in") and seen(web.static_files(), "ok", "are there")
    conf_with(settings, UID_BASE=0, SPAWNER="clouds")
    assert seen(web.configuration(), "fail", "STRIPEDESK_UID_BASE must be between")
    assert seen(web.checks(), "fail", "desktops.E006: The spawner cannot be used: There is no spawner called 'clouds'")
    monkeypatch.setattr(web.finders, "find", lambda name: None)
    assert seen(web.static_files(), "fail", "not found: app/viewer.js")


def test_spawner_and_host_agents(settings: Any, template: SessionTemplate) -> None:
    assert seen(hosts.spawner(), "ok", r"local \(sessions") and seen(hosts.agents(), "warn", "no host agent has ever")
    dead = SessionHost.objects.create(name="a", heartbeat=timezone.now() - timezone.timedelta(hours=1))
    assert seen(hosts.agents(), "fail", "a has not been heard of since")
    SessionHost.objects.filter(pk=dead.pk).update(heartbeat=timezone.now(), lost=True)
    assert seen(hosts.agents(), "fail", "a has not been heard of since")
    SessionHost.objects.create(name="b", heartbeat=timezone.now(), capacity=7)
    assert seen(hosts.agents(), "warn", "a has not") and seen(hosts.agents(), "ok", "b lives, room for 7")
    SessionHost.objects.filter(pk=dead.pk).update(lost=False, problem="Not installed: Xvfb.")
    assert seen(hosts.agents(), "warn", "a: Not installed: Xvfb.")
    SessionHost.objects.update(capacity=0, problem="")
    assert seen(hosts.agents(), "warn", "takes no sessions")
    template.delete()
    assert seen(hosts.agents(), "warn", "no template to launch")
    conf_with(settings, SPAWNER="clouds")
    assert seen(hosts.spawner(), "fail", "no spawner called 'clouds'")
