"""A process of its own that checks a large store and a small one while its memory is limited.

``python short_of_memory.py LARGE SMALL MEGABYTES``, of which it gets so many more than it has at the start. Prints what
the checks said under the limit, and after it, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

from exporter.checks.monitor import Monitor
from exporter.config import Config
from exporter.state.credentials_db import CredentialDatabase


def address_space() -> int:
    """What this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


async def main(large: str, small: str, megabytes: str) -> None:
    targets = [
        {"name": name, "source": "store", "state_dir": state_dir, "timeout": "30s"}
        for name, state_dir in (("large", large), ("small", small))
    ]
    ledger = CredentialDatabase(None)
    monitor = Monitor(Config.model_validate({"targets": targets}), ledger)

    async def outcomes() -> dict[str, str]:
        """What a check of each target said: "ok", or why not."""
        return {
            target.target: next((str(agent.failure.reason) for agent in target.entries if agent.failure), "ok")
            for target in (await monitor.check()).targets
        }

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + int(megabytes) * 2**20, before[1]))
    said = {"limited": await outcomes()}
    resource.setrlimit(resource.RLIMIT_AS, before)
    said["after"] = await outcomes()
    await monitor.aclose()
    ledger.close()
    print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
