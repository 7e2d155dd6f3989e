"""A daemon that runs for months stays small: what it has done leaves nothing in memory."""

from __future__ import annotations

import gc
import time
from itertools import pairwise
from pathlib import Path

from fakes import Fakes, config, token
from waiting import until

from exporter.daemon.scheduler import Daemon
from exporter.state.credentials_db import CredentialDatabase

from .servers import BadServer
from .worlds import webhook

DAY = 86400.0
#: Each round checks two targets. A piece is twice ten rounds, of which the tenth has an alert that the next one ends.
PIECES, ROUNDS = 4, 20
#: Objects that stay for each check. What is on its way differs by some hundred, and what runs for the first time leaves
#: some: a leak shows in every piece.
ALLOWED = 10


async def test_checks_notifications_reloads_and_scrapes_leave_no_objects(tmp_path: Path) -> None:
    fakes, ledger = Fakes(), CredentialDatabase(tmp_path)
    with BadServer() as server:
        made = config(
            "home", "vps", interval="1h", channels=[webhook(server.url + "/hook")], alerts={"group_wait": "0s"}
        )
        daemon = Daemon(made, ledger, lambda: made, time.time, fakes, directory=tmp_path)
        await daemon.start()
        try:

            async def rounds(first: int, last: int) -> int:
                """As many objects as there are after some rounds. In each, credentials are new, and expire or not."""
                for number in range(first, last):
                    ends = time.time() + (-DAY if number % 10 == 9 else 90 * DAY)
                    for source in fakes.sources.values():
                        source.profiles = (token(ends, secret_hash=f"{number:032x}"),)
                    await daemon.check_now(None)
                    daemon.exposition("", "")
                    if number % 5 == 0:
                        assert await daemon.reload() is None
                if first == 0:  # what flaps all day is notified of less and less
                    await until(lambda: server.received("hook"))
                server.came.clear()
                gc.collect()
                return len(gc.get_objects())

            counts = [await rounds(piece * ROUNDS, (piece + 1) * ROUNDS) for piece in range(PIECES)]
            growth = [after - before for before, after in pairwise(counts)]
            assert min(growth) < ALLOWED * ROUNDS * 2, growth
        finally:
            await daemon.stop()
            ledger.close()
