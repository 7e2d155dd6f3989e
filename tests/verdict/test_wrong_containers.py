"""An answer with a container of the wrong type never gives a greener verdict than the whole answer."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from captured import capture, verdict

from exporter.model import CheckError, FailureReason, Observation
from exporter.sources.gateway import answers
from exporter.sources.openclaw.status import observe

BADNESS = {0: 0, 2: 1, 1: 2}
OTHERS: tuple[Any, ...] = (None, 5, "anthropic", True, [], {}, ["x"], {"x": 1})


def containers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all objects and lists in ``value``."""
    if path and isinstance(value, dict | list):
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from containers(item, (*path, key))


def replaced(payload: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(payload)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def check(payload: Any, read: Any) -> None:
    whole = BADNESS[verdict(read(payload)).exit_code]
    for path in containers(payload):
        present = payload
        for key in path:
            present = present[key]
        for value in OTHERS:
            if type(value) is type(present):
                continue
            try:
                badness = BADNESS[verdict(read(replaced(payload, path, value))).exit_code]
            except CheckError as error:
                assert error.reason in (FailureReason.INVALID_OUTPUT, FailureReason.NOT_READY)  # noqa: PT017 - one of both
                continue
            assert badness >= whole, f"{path} = {value!r} is greener"


@pytest.mark.parametrize("release", ["2026.1.29", "2026.2.9", "2026.6.11", "2026.9.6"])
@pytest.mark.parametrize(
    "scenario", ["all_unusable", "token_expired", "oauth_expired_no_refresh", "two_profiles_one_expiring", "empty"]
)
def test_wrong_container_of_the_command_is_never_greener(release: str, scenario: str) -> None:
    data = capture(f"openclaw-{release}", scenario)

    def read(payload: Any) -> Observation:
        return observe(
            payload,
            target="home",
            agent="main",
            observed_at=data["now_ms"] / 1000,
            exit_code=data["exit_code"],
            version=release,
        )

    check(json.loads(data["stdout"]), read)


@pytest.mark.parametrize("scenario", ["all_unusable", "mixed_providers", "token_expired"])
def test_wrong_container_of_the_gateway_is_never_greener(scenario: str) -> None:
    payload = capture("gateway-2026.9.6", scenario)["body"]["payload"]

    def read(changed: Any) -> Observation:
        return answers.observe(changed, target="home", agent="main", observed_at=payload["ts"] / 1000)

    check(payload, read)
