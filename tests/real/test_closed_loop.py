"""The closed loop: a remedy that ``check --json`` prints is typed into a real OpenClaw, and the next check is green.

A cell is a release, a fault and a place. By default, the newest release, the oldest and one between them are in a cell
with each fault, at places that the release and faults of the same family have not been at. OAE_CLOSED_LOOP=all adds
each fault of each release at each of the ``MAIN_PLACES``. If no command of a release ends a fault, the remedy must say
until when to wait. The test then ends the disable, as time does.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from . import loop
from .conftest import need
from .desk import Homes, notified, recording_channel
from .files import TOKEN, check_now
from .loop import PLACES, Cell
from .loop_faults import FAULTS
from .parts import RELEASES, running, wait_for
from .shell import Shell

pytestmark = pytest.mark.real

OLDEST = RELEASES[-1]

#: The main agent, a second agent, an inherited profile, a named home, another host and a container.
MAIN_PLACES = ("local-main", "local-own", "local-inherits", "named-main", "ssh-main", "container-main")


def is_possible(release: str, name: str, place: str) -> bool:
    """Whether this release has the fault at this place."""
    version = tuple(map(int, release.split(".")))
    fault = FAULTS[name]
    if fault.has_old_store:  # what a later release finds, in the main agent's folder
        return version >= (2026, 6) and place.endswith("main")
    is_inherited = any(profile["provider"] == fault.provider for profile in fault.profiles.values())
    if place.endswith("inherits") and (
        version < (2026, 4) or not is_inherited
    ):  # 2026.2 copies main's profiles instead
        return False
    if name == "bedrock":  # later releases know that Bedrock needs no profile
        return version < (2026, 8)
    if name.endswith("-secretref") and version < (2026, 8):  # OpenClaw takes it for a secret; only the store shows it
        return version >= (2026, 4) and place.startswith(("local", "named"))
    # 2026.2 takes an empty key for a key, and fails on an empty token.
    return version >= (2026, 4) or not name.endswith("-no-secret")


def is_typed(release: str, name: str, place: str) -> bool:
    """Whether the remedy of a fault that this release has can be seen and typed here."""
    version = tuple(map(int, release.split(".")))
    if name == "login-expired" and (2026, 3) <= version < (2026, 8):  # only the store shows that nothing can refresh it
        return place.startswith(("local", "named"))
    if name == "key-anthropic-revoked" and version < (2026, 3):
        return False  # the wizard: test_reauth_paths.py answers its questions
    # 2026.9 runs openai's models in the plugin codex, which its doctor downloads. Without a network it exits with 1
    # after the paste, too, although it calls the key usable (runtimeAuthRoutes: authStatus). The exporter reports that.
    return name != "key-openai-missing" or version < (2026, 9)


def heals_by_command(release: str, name: str, place: str) -> bool:
    """Whether commands alone end the fault, as far as is known. 2026.2 has none that ends a disable."""
    version = tuple(map(int, release.split(".")))
    if name == "token-auth-cooldown" and version < (2026, 8) and not place.startswith(("local", "named")):
        return False  # only the store shows why the profile cools down
    return name != "token-rate-limit" and not (release == OLDEST and FAULTS[name].is_disable)


def cells() -> list[tuple[str, str, str]]:
    """All possible cells; or those of ``.ci/run``, chosen one after the other by the new pairs that they bring."""
    possible = [cell for cell in product(RELEASES, FAULTS, PLACES) if is_possible(*cell)]
    chosen = _chosen(possible)
    if os.environ.get("OAE_CLOSED_LOOP") == "all":
        chosen = [cell for cell in possible if cell in chosen or cell[2] in MAIN_PLACES]
    return [cell for cell in chosen if is_typed(*cell)]


def _chosen(possible: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The cells of ``.ci/run``."""
    seen: set[tuple[str, str]] = set()
    chosen: list[tuple[str, str, str]] = []
    between = RELEASES[1:-1]
    for release, (number, name) in product(RELEASES, enumerate(FAULTS)):
        if FAULTS[name].only_in_full or (release in between and release != between[number % len(between)]):
            continue
        candidates = [cell for cell in possible if cell[:2] == (release, name)]
        if candidates:
            used = Counter(place for _, _, place in chosen)
            best = max(candidates, key=lambda cell: (len(_pairs(*cell) - seen), -used[cell[2]]))
            seen |= _pairs(*best)
            chosen.append(best)
    return chosen


def _pairs(release: str, name: str, place: str) -> set[tuple[str, str]]:
    return {(release, place), (name.partition("-")[0], place)}


@pytest.fixture
def cell(request: pytest.FixtureRequest, homes: Homes, tmp_path: Path) -> Iterator[Cell]:
    release, name, place = request.param
    need("node")
    need(f"openclaw-{release}")
    with loop.made(homes, release, FAULTS[name], place, tmp_path) as cell:
        yield cell


def do(cell: Cell, steps: list[dict[str, Any]]) -> None:
    """Do what the steps say, in order. Each command must end with 0, and ask for what it ``needs`` and nothing else."""
    advice = ""
    with Shell(cell.person) as shell:
        for step in steps:
            if step["kind"] == "wait":
                cell.wait()
            elif removal := re.match(r"Remove (\S+) from (\S+auth-profiles\.json): ", step["text"]):
                cell.remove(*removal.groups())
            elif step["kind"] == "note":
                advice = step["text"]
            else:
                _type(cell, shell, step, cancels="press Ctrl-C there, and paste nothing" in advice)
                advice = ""


def _type(cell: Cell, shell: Shell, step: dict[str, Any], *, cancels: bool) -> None:
    needs = set(step["needs"])
    # What needs nothing must do without a terminal.
    typed = shell.run(step["text"] if needs else f"{step['text']} </dev/null", cancels=cancels)
    assert (typed.code == 0) != cancels, str(typed)
    assert typed.asked_for_secret == ("secret" in needs or cancels), f"{needs}: {typed}"
    assert typed.showed_page == ("browser" in needs), f"{needs}: {typed}"
    if "openclaw" in step["text"]:
        assert (step["where"]["host"], step["where"]["home"]) == cell.place, step


@pytest.mark.parametrize("cell", cells(), indirect=True, ids="-".join)
def test_remedy_heals(cell: Cell, request: pytest.FixtureRequest) -> None:
    release, name, place = request.node.callspec.params["cell"]
    found = cell.conditions(cell.check())
    if not cell.fault.conditions:  # OpenClaw's own mistake
        assert found == []
        return
    assert set(cell.fault.conditions) & {c["condition"] for c in found}, found
    steps = found[0]["steps"]
    print(found[0]["condition"], *found[0]["remedy"], sep="\n")  # pytest shows it if the test fails, or with -rP
    assert [step["text"] for step in steps] == found[0]["remedy"]
    waits = [step["text"] for step in steps if step["kind"] == "wait"]
    if heals_by_command(release, name, place):
        assert waits == []
    else:
        assert re.search(r"^Wait until \d{4}-\d\d-\d\dT", waits[0])
    do(cell, steps)
    after = cell.check()
    assert after["exit_code"] == 0, (steps, after["targets"])
    assert not set(cell.fault.conditions) & {c["condition"] for c in cell.conditions(after)}


#: One cell per release, each with another fault and place.
WITH_A_DAEMON = [
    ("2026.9.6", "key-revoked", "local-own"),
    ("2026.6.11", "token-revoked", "ssh-main"),
    ("2026.5.12", "token-expired", "named-own"),
    ("2026.2.9", "token-expired", "container-own"),
]


@pytest.mark.parametrize("cell", WITH_A_DAEMON, indirect=True, ids="-".join)
def test_alert_is_resolved_within_seconds_of_a_forced_check(cell: Cell, tmp_path: Path) -> None:
    messages, exporter, provider = tmp_path / "messages", cell.exporter, cell.fault.provider
    web = {**exporter.config["web"], "token": TOKEN}
    cell.configure(channels=[recording_channel(messages)], alerts={"group_wait": "0s"}, web=web)
    exporter.world.env |= cell.service
    with running(exporter):
        wait_for("the alert is sent", lambda: ("first", provider) in notified(messages), 120)
        do(cell, cell.conditions(cell.check())[0]["steps"])
        check_now(exporter)
        checked = time.monotonic()
        ends = {("resolved", provider), ("renewed", provider)}
        wait_for("the alert is resolved", lambda: ends & notified(messages), 15)
        assert time.monotonic() - checked < 15
