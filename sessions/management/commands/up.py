"""``manage.py up``: everything on one machine, in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseTrouble

from ...conf import conf
from ...embedded import database, web
from ...embedded.stack import Interrupted, Stack, StackError
from ...models import SessionHost
from ...seeds import seed

DEFAULT_PORT = 8000
WEB_PROCESSES = 2
"""When one dies, its viewers are with the other a quarter of a second later."""

MOST_WEB_PROCESSES = 64


class Command(BaseCommand):
    help = "Start the whole platform on this machine: database, Redis, web server, host agent. Ctrl-C ends all of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"of the web server; default {DEFAULT_PORT}")
        what = f"web processes behind the port; default {WEB_PROCESSES}"
        parser.add_argument("--web", type=int, default=WEB_PROCESSES, metavar="N", help=what)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["web"] <= MOST_WEB_PROCESSES:
            raise CommandError(f"--web is a number from 1 to {MOST_WEB_PROCESSES}, not {options['web']}.")
        stop, look = threading.Event(), threading.Event()

        def ask_to_stop(*_: object) -> None:
            stop.set()
            look.set()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: look.set())
        manage = Path(sys.argv[0]).resolve()
        stack: Stack | None = None
        try:
            stack = Stack(conf(), options["port"], manage, self._say, stop.is_set, options["web"])
            stack.lock()
            self._start(stack, options["port"])
            while not stop.is_set():
                look.wait(stack.watch())
                look.clear()
        except Interrupted:
            pass
        except (ImproperlyConfigured, StackError) as error:
            raise CommandError(str(error)) from None
        except DatabaseTrouble as error:
            raise CommandError(f"The database cannot be used: {error} (DATABASE_URL says where it is.)") from None
        finally:
            if stack is not None:
                stack.end()
        self._say("Stopped.")

    def _start(self, stack: Stack, port: int) -> None:
        stack.clear()
        if problem := web.port_problem(port):
            raise StackError(problem)
        database.migrate()
        password = database.make_administrator(os.environ.get("STRIPEDESK_ADMIN_PASSWORD"))
        self._step("database", "migrated")
        seeded = seed()
        new = [*seeded.templates, *seeded.presets]
        self._step("templates", f"{len(new)} templates and presets added" if new else "templates and presets are there")
        self._step("redis", stack.start_redis())
        self._step("web server", stack.start_web())
        stack.start_agent()
        host = stack.await_ready()
        self._step("host agent", _describe(host))
        shown = password or "(as set before; `.venv/bin/python manage.py changepassword admin` sets a new one)"
        self._say(f"Ready  http://{web.HOST}:{port}/  user: {database.ADMINISTRATOR}  password: {shown}")

    def _step(self, what: str, state: str) -> None:
        self._say(f"  {what:<11} {state}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _describe(host: SessionHost) -> str:
    sandbox = "every desktop in a sandbox of its own" if host.sandboxed else "NO SANDBOX"
    return f"room for {host.capacity} sessions, {sandbox}{'. ' + host.problem if host.problem else ''}"
