"""Runs a host agent with another worker, or with the real one: ``run_agent.py NAME BEHAVIOUR|real``."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ["DJANGO_SETTINGS_MODULE"] = "stripedesk.settings"

import django  # noqa: E402

django.setup()

from sessions.conf import conf  # noqa: E402
from sessions.hostagent import oversight, streamer, supervisor  # noqa: E402
from sessions.hostagent.agent import HostAgent  # noqa: E402
from sessions.hostagent.worker_process import COMMAND  # noqa: E402
from sessions.management.commands.sessionhost import _run  # noqa: E402
from sessions.spawners import guard  # noqa: E402
from sessions.spawners.limits import Limits  # noqa: E402


def read_spec(text):
    """What the test wants of every desktop: limits, and other members of its spec."""
    wanted = json.loads(text)
    return {**wanted, "limits": Limits(**wanted.get("limits", {}))}


oversight.MINUTE = oversight.HOUR = float(os.environ.get("TEST_MINUTE", oversight.MINUTE))
if "TEST_MINUTE" in os.environ:
    oversight.SAMPLE_S = streamer.LOOK_INTERVAL = 0.3
streamer.SILENT = float(os.environ.get("TEST_SILENT", streamer.SILENT))
if spec := os.environ.get("TEST_SPEC"):
    spec_of = supervisor.spec_of
    supervisor.spec_of = lambda session: replace(spec_of(session), **read_spec(spec))
for limit in ("START_LIMIT", "STOP_LIMIT", "LOOK_INTERVAL"):
    setattr(guard, limit, float(os.environ.get(f"TEST_{limit}", getattr(guard, limit))))
name, behaviour = sys.argv[1:]
fake = (sys.executable, "-c", (HERE / "fake_worker.py").read_text(), behaviour)
command = COMMAND if behaviour == "real" else fake
asyncio.run(_run(HostAgent, conf(), name, command))
