"""``python -m sessions.worker --config FILE``: the engine worker's process.

Exit codes: 0 told to stop, 3 the X server went away, 4 configuration refused, 5 Redis was gone for a minute
or refuses this worker.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys

from . import config as configuration


def main(arguments: list[str] | None = None) -> int:
    """Run one worker; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sessions.worker", description="Stream one desktop session.")
    parser.add_argument("--config", required=True, metavar="FILE", help="JSON file of mode 0400")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="worker %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        config = configuration.load(options.config)
    except configuration.ConfigError as error:
        print(f"configuration refused: {error}", file=sys.stderr)
        return 4

    from .worker import Worker  # after the configuration: a refusal needs neither engine nor Redis

    gc.freeze()  # what the imports made lives as long as the process
    return asyncio.run(_run(Worker, config))


async def _run(worker: type, config: configuration.Config) -> int:
    return int(await worker(config).run())


if __name__ == "__main__":
    sys.exit(main())
