"""A secret planted in any field of what OpenClaw prints comes out nowhere."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from captured import capture, verdict

from exporter.metrics.render import one_shot
from exporter.model import CheckError, Report, TargetReport
from exporter.present import explain, to_json, to_line, to_nagios, to_table
from exporter.sources.openclaw.status import observe
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import CredentialHistory, record_observation, record_report

SECRET = "sk-ant-oat01-PLANTED0PLANTED1PLANTED2PLANTED3PLANTED4"
PARTS = ("PLANTED", SECRET[:16], SECRET[-8:])
Path_ = tuple[str | int, ...]


def leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The places of all texts, numbers and nulls."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def planted(value: Any, path: Path_) -> Any:
    result = copy.deepcopy(value)
    inner = result
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = SECRET
    return result


def all_output(report: Report, state: Path) -> str:
    output = [json.dumps(to_json(report)), to_table(report), to_line(report), to_nagios(report)[0], explain(report)]
    output += [one_shot(report).decode(), repr(report)]
    output += [file.read_bytes().decode("latin-1") for file in state.iterdir()]
    return "\n".join(output)


@pytest.mark.parametrize("release", ["2026.2.9", "2026.9.6"])
@pytest.mark.parametrize("scenario", ["all_unusable", "oauth_expired_refreshable", "token_expired"])
def test_nothing_planted_comes_out(release: str, scenario: str, tmp_path: Path) -> None:
    data = capture(f"openclaw-{release}", scenario)
    payload = json.loads(data["stdout"])
    ledger = CredentialDatabase(tmp_path)
    for path in leaves(payload):
        output = ""
        try:
            seen = observe(
                planted(payload, path), target="home", agent="main", observed_at=data["now_ms"] / 1000, exit_code=1
            )
        except CheckError as error:
            output = str(error)
        else:
            report = verdict(seen)
            ledger.record(
                "home",
                "main",
                record_report(record_observation(CredentialHistory(), seen, seen.observed_at), report),
                seen,
            )
            output = all_output(Report(seen.observed_at, (TargetReport("home", "openclaw", (report,)),)), tmp_path)
        assert not any(part in output for part in PARTS), path
