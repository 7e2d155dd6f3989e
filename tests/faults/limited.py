"""A process of its own that checks a store and runs a command while its descriptors are limited.

``python limited.py STATE_DIR``. Prints what the checks said under each limit, and after it, as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.checks.monitor import Monitor
from exporter.config import Config
from exporter.lib import command
from exporter.model import CheckError
from exporter.state.credentials_db import CredentialDatabase


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextmanager
def limited(spare: int) -> Iterator[None]:
    """Only so many descriptors more than there are now."""
    free = (number for number in itertools.count() if not is_open(number))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, spare, None)), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def outcomes(monitor: Monitor) -> list[str]:
    """What a check of the store and a command said: "ok", or why not."""
    (target,) = (await monitor.check()).targets
    said = [next((str(agent.failure.reason) for agent in target.entries if agent.failure), "ok")]
    try:
        await command.run(["/bin/true"], env={}, timeout=20.0)
    except CheckError as error:
        return [*said, str(error.reason)]
    return [*said, "ok"]


async def main(state_dir: str) -> None:
    target = {"name": "home", "source": "store", "state_dir": state_dir, "timeout": "20s"}
    ledger = CredentialDatabase(None)
    monitor = Monitor(Config.model_validate({"targets": [target]}), ledger)
    said = {"before": await outcomes(monitor)}
    count = descriptors()
    for spare in range(12):
        with limited(spare):
            said[f"{spare} more"] = await outcomes(monitor)
    said["after"] = await outcomes(monitor)
    said["left open"] = [str(descriptors() - count)]
    await monitor.aclose()
    ledger.close()
    print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
