"""The disk is full at every write: it has room for one page, for two, and so on until everything fits.

Whatever had no room, the notification arrives, nothing is half written, and once there is room all of it is in the
files and nothing is notified twice.
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from alerts.worlds import DAY, HOUR, NOW, P, world
from faults.servers import BadServer
from faults.worlds import Setting, config, webhook
from histories import HISTORY, OBSERVATION
from waiting import until

from exporter.alerts.delivery import notifier as module
from exporter.alerts.delivery.outbox import open_outbox
from exporter.lib.sqlite import StateError
from exporter.metrics.push import TextfileError, write_textfile
from exporter.state.credentials_db import CredentialDatabase

from .disks import fill

pytestmark = pytest.mark.real

SOON = P("anthropic:soon", ends=NOW + HOUR, secret="1")
NEW = [P(f"anthropic:{number}", ends=NOW + HOUR, secret=f"{number}") for number in range(20)]
OLD_TEXT, NEW_TEXT = b"old 1\n" * 1000, b"new 1\n" * 2000


def tried(write: Any) -> bool:
    """Whether a write that may refuse did not."""
    try:
        write()
    except (StateError, TextfileError):
        return False
    return True


@pytest.mark.parametrize("begins", ["with nothing", "with its state"])
async def test_a_disk_that_is_full_at_any_write_costs_no_notification_and_no_state(
    small_disk: Path, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pages in itertools.count():
        folder = small_disk / f"{pages}"
        folder.mkdir()
        fitted = await with_room_for(pages, folder, begins == "with its state", monkeypatch)
        shutil.rmtree(folder)
        if fitted:
            break
    assert pages > 10


async def with_room_for(pages: int, folder: Path, has_state: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether everything fitted."""
    textfile, state = folder / "openclaw.prom", folder / "state"
    with BadServer() as server:
        setting = Setting(state, config(webhook(server.url + "/hook")), world(SOON))
        expected = ["first"]
        if has_state:
            assert await setting.timer()
            write_textfile(textfile, OLD_TEXT)
            CredentialDatabase(state, setting.clock).close()
            expected = ["first", "first"]
            setting.world = world(SOON, *NEW)
        monkeypatch.setattr(module, "RESTORE_EVERY", 3600.0)
        filler = fill(folder.parent, pages)

        # --- while it is full ---
        ledger = CredentialDatabase(state, setting.clock)
        for number in range(20):
            ledger.record("home", f"{number}", HISTORY, OBSERVATION)
        ledger.save()
        fitted = ledger.problem is None
        is_used = tried(lambda: ledger.use("a-link"))
        outbox = open_outbox(state, setting.clock, or_memory=True)
        never_had_a_file = outbox.problem is not None  # a full disk from the start: in memory until it is restarted
        notifier = module.Notifier(setting.config, outbox, module.ReportSource(setting.report), setting.clock)
        notifier.start()
        await until(lambda: server.reasons("hook") == expected)
        silences: list[str] = []
        has_silence = tried(
            lambda: silences.append(notifier.outbox.add_silence({"profile": "x"}, NOW + DAY, "moving", NOW).id)
        )
        has_text = tried(lambda: write_textfile(textfile, NEW_TEXT))
        had = textfile.read_bytes() if textfile.exists() else b""
        assert had == (NEW_TEXT if has_text else OLD_TEXT if has_state else b"")
        assert not any(name.startswith(".") for name in os.listdir(folder)), "no half file is left"
        was_durable = notifier.problem is None
        fitted = fitted and is_used and has_silence and has_text and was_durable

        # --- when there is room again ---
        filler.unlink()
        monkeypatch.setattr(module, "RESTORE_EVERY", 0.0)
        notifier.wake()
        if not never_had_a_file:
            await until(lambda: notifier.problem is None)
        ledger.save()
        assert tried(lambda: ledger.use("another-link")) or ledger.not_durable
        assert not is_used or not ledger.use("a-link"), "a link acts once"
        await notifier.stop()
        ledger.close()
        again = CredentialDatabase(state, setting.clock)
        if ledger.problem is None:
            assert len(again.agents("home")) == 20
        again.close()
        process = setting.timer_process()
        assert {silence.id for silence in process.outbox.silences(NOW)} >= set(silences) or never_had_a_file
        assert await process.once()
        await process.stop()
        assert server.reasons("hook") in ([expected], [expected, [*expected, "first"]])[never_had_a_file]
    return fitted
