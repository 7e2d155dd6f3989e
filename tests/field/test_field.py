"""Situations from public bug reports. To add one, add a folder here: CASE/case.json and what a person has.

A folder holds ``state/`` (an OpenClaw state folder, read by the source ``store``) or any number of
``status-RELEASE.json`` (what ``models status`` of that release prints, replayed to the source ``openclaw``),
or both. Subfolders ``look1``, ``look2`` hold what changes from one check to the next, over one history. In
every file, ``"@ms:-1h"`` is the time an hour before the check in Unix milliseconds.

``case.json``: ``situation``; ``environ``, ``agent`` and ``policy`` if they are not the defaults; ``want`` by
``store``, by RELEASE as in the file's name, by ``openclaw`` (every release), or by ``every source``: the most exact
one counts. A want holds the ``exit`` codes (a list has one per look), the conditions that ``must`` or must
``never`` be there, and regular expressions: ``says`` and ``never_says`` for the summaries, ``remedy`` and
``never_remedy`` for the remedies.

``status-RELEASE.json``: ``exit``, ``stdout`` (an object or a text) and ``stderr``. With ``beside_store``,
the paths that it prints are those of ``state/``.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from situations import cases, lay_out, wanted

from exporter.config import OpenClawTarget, Policy, StoreTarget
from exporter.model import AgentReport, CheckError, Failure, Observation
from exporter.sources import Source, SourceContext, build
from exporter.state.history import CredentialHistory, record_observation
from exporter.verdict import Subject, evaluate

NOW = 1_795_000_000.0  # Unix seconds
LOOK = 300.0  # seconds between two looks
#: The state folder that captured runs print.
CAPTURED_STATE = "/home/someone/.openclaw"

STAND_IN = """#!/bin/sh
case "$*" in
 *"agents list"*) echo '[{{"id":"main","isDefault":true}}]';;
 *--version*) echo "OpenClaw {version}";;
 *) cat {folder}/stderr >&2; cat {folder}/stdout; exit {exit};;
esac
"""


def runs() -> list[Any]:
    """Every case with every source that can see it."""
    found = []
    for case in cases():
        if any(case.glob("**/state")):
            found.append(pytest.param(case, "store", id=f"{case.name}-store"))
        for name in sorted({path.name for path in case.glob("**/status-*.json")}):
            found.append(pytest.param(case, name, id=f"{case.name}-{name[7:-5]}"))
    return found


def source_of(kind: str, into: Path, about: dict[str, Any], now: float) -> Source:
    environ = {"HOME": str(into), "PATH": "/usr/bin:/bin", **about.get("environ", {})}
    context = SourceContext(lambda text: f"hash-{hash(text)}", now=lambda: now, environ=environ)
    state = into / "state"
    if kind == "store":
        return build(StoreTarget(source="store", name="home", state_dir=str(state)), context)
    said = json.loads((into / kind).read_text())
    stdout = said.get("stdout", "")
    stdout = stdout if isinstance(stdout, str) else json.dumps(stdout)
    if said.get("beside_store"):
        stdout = stdout.replace(CAPTURED_STATE, str(state))
    (into / "stdout").write_text(stdout)
    (into / "stderr").write_text(said.get("stderr", ""))
    command = into / "openclaw"
    command.write_text(STAND_IN.format(version=release_of(kind), folder=shlex.quote(str(into)), exit=said["exit"]))
    command.chmod(0o755)
    return build(OpenClawTarget(source="openclaw", name="home", command=[str(command)]), context)


def release_of(kind: str) -> str:
    return kind.removeprefix("status-").removesuffix(".json").partition("-")[0]


def reports(case: Path, kind: str, into: Path) -> list[AgentReport]:
    """The verdict of each look."""
    about = json.loads((case / "case.json").read_text())
    agent, policy = about.get("agent", "main"), Policy.model_validate(about.get("policy", {}))
    history, observation, found = CredentialHistory(), None, []
    for number, look in enumerate(sorted(case.glob("look*")) or [case]):
        now = NOW + number * LOOK
        for folder in dict.fromkeys((case, look)):
            lay_out(folder, into, now)
        source, failure = source_of(kind, into, about, now), None
        try:
            observation = asyncio.run(checked(source, agent))
            history = record_observation(history, observation, now)
        except CheckError as error:
            failure = Failure(error.reason, error.message, now, error.needs_doctor)
        subject = Subject("home", agent, source.kind, source.programs())
        found.append(evaluate(subject, observation, failure, history, policy, now))
    return found


async def checked(source: Source, agent: str) -> Observation:
    try:
        return await source.check(agent)
    finally:
        await source.aclose()


@pytest.mark.parametrize(("case", "kind"), runs())
def test_situation_gets_its_verdict(case: Path, kind: str, tmp_path: Path) -> None:
    found, want = (
        reports(case, kind, tmp_path),
        wanted(case, *(["store"] if kind == "store" else [kind[7:-5], "openclaw"])),
    )
    assert want, "case.json wants nothing of this source"
    last = found[-1]
    conditions = {str(condition.name) for condition in last.conditions}
    summaries = "\n".join(condition.summary for condition in last.conditions)
    remedies = "\n".join(line for condition in last.conditions for line in condition.remedy)
    shown = f"{summaries}\n{remedies}"
    codes = [report.exit_code for report in found]
    assert codes[-1:] == [want["exit"]] if isinstance(want["exit"], int) else codes == want["exit"], shown
    assert set(want.get("must", ())) <= conditions, shown
    assert not set(want.get("never", ())) & conditions, shown
    for text, must, never in ((summaries, "says", "never_says"), (remedies, "remedy", "never_remedy")):
        for pattern in want.get(must, ()):
            assert re.search(pattern, text), f"{pattern!r} is not in:\n{shown}"
        for pattern in want.get(never, ()):
            assert not re.search(pattern, text), f"{pattern!r} is in:\n{shown}"
