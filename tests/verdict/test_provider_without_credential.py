"""A provider that needs no credential by configuration: nothing about it is reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from captured import verdict
from profiles import DAY, NOW, TOKEN, observation

from exporter.config import Policy, ProviderPolicy
from exporter.model import Dialect, ObservedProfile, Unusable, UsageWindow

# --- a provider that needs no credential -----------------------------------------------------------

NO_BEDROCK = Policy(providers={"amazon-bedrock": ProviderPolicy(credential="none")})
MISSING_BEDROCK: dict[str, Any] = {
    "dialect": Dialect.ROUTES,
    "providers_in_use": ("anthropic", "amazon-bedrock"),
    "missing_providers": frozenset({"amazon-bedrock"}),
    "openclaw_exit_code": 1,
}


def test_provider_that_needs_no_credential_is_not_reported_and_explains_the_exit_code() -> None:
    seen = observation(TOKEN, **MISSING_BEDROCK)
    assert {c.name for c in verdict(seen).conditions} == {"missing"}
    report = verdict(seen, policy=NO_BEDROCK)
    assert (report.exit_code, report.conditions) == (0, ())
    assert report.providers_usable == {"anthropic": True}
    assert report.notes == (
        "policy.providers says that amazon-bedrock needs no credential, so nothing about it is reported",
    )


@pytest.mark.parametrize("field", ["missing_providers", "indeterminate_providers", "faulty_providers"])
def test_what_else_is_wrong_is_still_reported(field: str) -> None:
    both: dict[str, Any] = {field: frozenset({"amazon-bedrock", "openai"})}
    seen = observation(TOKEN, providers_in_use=("anthropic", "amazon-bedrock", "openai"), openclaw_exit_code=1, **both)
    report = verdict(seen, policy=NO_BEDROCK)
    assert report.exit_code == 1
    assert {c.provider for c in report.conditions} <= {"openai", None}
    alone: dict[str, Any] = {field: frozenset({"amazon-bedrock"})}
    assert verdict(replace(seen, **alone), policy=NO_BEDROCK).exit_code == 0
    # OpenClaw names no provider at all: that is not explained.
    none: dict[str, Any] = {field: frozenset()}
    assert verdict(replace(seen, **none), policy=NO_BEDROCK).exit_code == 1


def test_profiles_of_a_provider_that_needs_none_are_not_reported_and_a_note_warns() -> None:
    key = ObservedProfile("amazon-bedrock:default", "amazon-bedrock", "api_key", status="missing")
    down = replace(key, id="amazon-bedrock:b", unusable=Unusable("disabled", "billing", NOW + DAY))
    usage = (UsageWindow("amazon-bedrock", "5h", 0.99),)
    seen = observation(TOKEN, key, down, providers_in_use=("anthropic", "amazon-bedrock"), usage=usage)
    report = verdict(seen, policy=NO_BEDROCK)
    assert (report.exit_code, report.conditions) == (0, ())
    assert [profile.ignored for profile in report.profiles] == [True, True, False]
    (warning,) = (note for note in report.notes if note.startswith("warning: policy.providers"))
    assert "amazon-bedrock:b, amazon-bedrock:default" in warning
