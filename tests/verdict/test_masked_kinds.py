"""A login that OpenClaw prints as another kind, because a runtime such as Codex has a credential too, stays a login."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from captured import verdict

from exporter.model import AgentReport, Observation
from exporter.sources.openclaw.status import observe
from exporter.sources.store.complete import complete
from exporter.sources.store.facts import StoreFacts
from exporter.state.history import CredentialHistory, record_observation, record_report

NOW, HOUR = 1_795_346_770.0, 3600.0
LOGIN = {"type": "oauth", "status": "expiring", "expiresAt": (NOW + 5 * HOUR) * 1000}
BARE = {"type": "token", "status": "static"}  # as inside a Codex-backed run
CODEX = {"runtime": "codex", "status": "usable"}


def status(entry: dict[str, Any], provider: str = "openai", **auth: Any) -> Observation:
    profile = {"profileId": f"{provider}:default", "provider": provider, "source": "store", **entry}
    rollup = {"provider": provider, "status": "ok", "profiles": [profile], "effectiveProfiles": [profile]}
    payload = {
        "resolvedDefault": f"{provider}/model",
        "auth": {
            "missingProvidersInUse": [],
            "modelRouteIssues": [],
            "runtimeAuthRoutes": [{"provider": provider, "authProvider": provider, **CODEX}],
            "unusableProfiles": [],
            "oauth": {"profiles": [profile], "providers": [rollup]},
            **auth,
        },
    }
    return observe(payload, target="home", agent="main", observed_at=NOW, exit_code=0, version="2026.9.6")


def with_credential(provider: str) -> dict[str, Any]:
    """The output has the runtime's own credential, without a route of the runtime."""
    return {"runtimeAuthRoutes": [], "providers": [{"provider": provider, "syntheticAuth": {"source": "Codex"}}]}


def looks(observations: Sequence[Observation]) -> list[AgentReport]:
    history, reports = CredentialHistory(), []
    for number, seen in enumerate(observations):
        at = NOW + number * 60
        seen = replace(seen, observed_at=at)
        history = record_observation(history, seen, at)
        reports.append(verdict(seen, history, now=at))
        history = record_report(history, reports[-1])
    return reports


@pytest.mark.parametrize("provider", ["openai", "openai-codex", "xai"])
@pytest.mark.parametrize("order", ["login first", "token first"])
@pytest.mark.parametrize(
    ("entry", "marked"),
    [
        (BARE, False),
        (BARE, True),
        ({"type": "api_key", "status": "static"}, True),
        ({"type": "token", "status": "expired", "expiresAt": (NOW - HOUR) * 1000}, True),
        ({"type": "token", "status": "expiring", "expiresAt": (NOW + HOUR) * 1000}, True),
    ],
)
def test_login_shown_as_another_kind_is_no_news(provider: str, order: str, entry: dict[str, Any], marked: bool) -> None:
    auth = with_credential(provider) if marked else {}
    login, masked = status(LOGIN, provider), status(entry, provider, **auth)
    flips = [login, masked, login, masked] if order == "login first" else [masked, login, masked, login]
    reports = looks(flips)
    assert [(report.exit_code, report.conditions) for report in reports] == [(0, ())] * 4
    known = reports if order == "login first" else reports[1:]
    assert {report.profiles[0].kind for report in known} == {"oauth"}
    assert {report.profiles[0].first_seen_at for report in reports} == {NOW}
    assert all(report.serving.get(provider, "oauth") == "oauth" for report in reports)


def test_login_that_cannot_refresh_stays_expired_while_it_is_masked() -> None:
    ended = {"type": "oauth", "status": "expired", "expiresAt": (NOW - HOUR) * 1000}
    reports = looks([status(ended, missingProvidersInUse=["openai"]), status(BARE)])
    assert [report.exit_code for report in reports] == [1, 1]
    assert {condition.name for condition in reports[1].conditions} == {"expired", "no_usable_profile"}


@pytest.mark.parametrize(
    "pasted",
    [
        status(BARE, runtimeAuthRoutes=[]),  # no runtime prints its own credential
        status({"type": "token", "status": "ok", "expiresAt": (NOW + 9000 * HOUR) * 1000}),
        status({"type": "api_key", "status": "static"}),
    ],
)
def test_credential_of_another_kind_that_a_person_pasted_is_a_change(pasted: Observation) -> None:
    report = looks([status(LOGIN), pasted, pasted])[-1]
    assert {condition.name for condition in report.conditions} == {"credential_changed"}


def test_store_on_this_host_shows_what_is_masked() -> None:
    (login,), (token,) = status(LOGIN).profiles, status(BARE, runtimeAuthRoutes=[]).profiles
    masked = status(BARE)
    kept = complete(masked, StoreFacts(profiles=(replace(login, has_refresh_token=True),)))
    assert (kept.profiles[0].kind, kept.profiles[0].has_refresh_token) == ("oauth", True)
    assert looks([status(LOGIN), kept, kept])[-1].conditions == ()
    changed = complete(masked, StoreFacts(profiles=(replace(token, secret_hash="hash"),)))
    assert {c.name for c in looks([status(LOGIN), changed, changed])[-1].conditions} == {"credential_changed"}
