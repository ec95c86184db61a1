"""Runs a host agent with another worker: ``run_agent.py NAME BEHAVIOUR``."""

import asyncio
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ["DJANGO_SETTINGS_MODULE"] = "stripedesk.settings"

import django  # noqa: E402

django.setup()

from sessions.conf import conf  # noqa: E402
from sessions.hostagent import supervisor  # noqa: E402
from sessions.hostagent.agent import HostAgent  # noqa: E402
from sessions.management.commands.sessionhost import _run  # noqa: E402

supervisor.SILENT = float(os.environ.get("TEST_SILENT", supervisor.SILENT))
name, behaviour = sys.argv[1:]
command = (sys.executable, "-c", (HERE / "fake_worker.py").read_text(), behaviour)
asyncio.run(_run(HostAgent, conf(), name, command))
