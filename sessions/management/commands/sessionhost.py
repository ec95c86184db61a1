"""``manage.py sessionhost``: this machine's host agent, in the foreground until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import check_host_name, conf
from ...hostagent.agent import AgentError, HostAgent
from ...spawners.guard import deaf


class Command(BaseCommand):
    help = "Run this machine's desktop sessions. Leaves them running when it is stopped, and finds them again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", help="the host's name; default STRIPEDESK_HOST_NAME or the machine's")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            checked = conf()
            name = check_host_name(options["name"] or checked.host_name)
            asyncio.run(_run(HostAgent, checked, name))
        except (ImproperlyConfigured, AgentError) as error:
            raise CommandError(str(error)) from None


async def _run(agent_class: type[HostAgent], *arguments: Any) -> None:
    agent = agent_class(*arguments)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.leave)
    # `manage.py up` is about to end everything: nothing is to be ready any more.
    loop.add_signal_handler(signal.SIGUSR1, agent.give_up_spares)
    await agent.run()
    if deaf():
        # Everything is done; closing the event loop would wait for a spawner that does not end when it is told to.
        logging.shutdown()
        os._exit(0)
