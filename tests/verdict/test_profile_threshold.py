"""A profile, a target and a provider may have a threshold of their own."""

from __future__ import annotations

import pytest
from captured import verdict
from worlds import DAY, NOW

from exporter.config import Policy
from exporter.model import ConditionName, Dialect, Observation, ObservedProfile, Status

SEEN = Observation(
    "home",
    "main",
    "store",
    Dialect.ROUTES,
    NOW,
    tuple(ObservedProfile(f"anthropic:{n}", "anthropic", "token", "ok", expires_at=NOW + 5 * DAY) for n in "ab"),
    ("anthropic",),
)


def test_threshold_of_a_profile_replaces_the_global_one() -> None:
    policy = Policy.model_validate({"profiles": {"home/anthropic:a": {"expiring_within": "7d"}}})
    report = verdict(SEEN, policy=policy)
    assert {profile.id: profile.status for profile in report.profiles} == {
        "anthropic:a": Status.EXPIRING,
        "anthropic:b": Status.OK,
    }
    assert report.conditions[0].rule == "the deadline is within the profile's expiring_within"
    assert report.exit_code == 2
    assert verdict(SEEN).exit_code == 0


def test_verdict_changes_at_the_threshold_of_the_profile() -> None:
    policy = Policy.model_validate({"profiles": {"anthropic:a": {"expiring_within": "3d"}}})
    changes_at = verdict(SEEN, policy=policy).changes_at
    assert changes_at is not None
    assert round(changes_at - NOW) == 2 * DAY


PROFILE = {"profiles": {"anthropic:a": {"expiring_within": "6d"}}}
TARGET = {"targets": {"home": {"expiring_within": "7d"}}}
PROVIDER = {"providers": {"anthropic": {"expiring_within": "8d"}}}


@pytest.mark.parametrize(
    ("policy", "key", "also_b"),
    [
        (PROVIDER, "the provider's expiring_within", True),
        (TARGET | PROVIDER, "the target's expiring_within", True),
        (PROFILE | TARGET | PROVIDER, "the profile's expiring_within", True),
        (PROFILE, "the profile's expiring_within", False),
        ({"expiring_within": "9d"}, "policy.expiring_within", True),
        # A threshold that does not reach the deadline wins, too.
        ({"targets": {"home": {"expiring_within": "1d"}}} | PROVIDER, None, False),
        (
            {"targets": {"vps": {"expiring_within": "9d"}}, "providers": {"openai": {"expiring_within": "9d"}}},
            None,
            False,
        ),
    ],
)
def test_the_narrowest_threshold_decides_and_is_named(policy: dict[str, object], key: str | None, also_b: bool) -> None:
    report = verdict(SEEN, policy=Policy.model_validate(policy))
    rules = {one.profile: one.rule for one in report.conditions if one.name is ConditionName.EXPIRING}
    assert rules.get("anthropic:a") == (key and f"the deadline is within {key}")
    assert ("anthropic:b" in rules) is also_b


def test_a_provider_with_a_threshold_still_needs_its_credential() -> None:
    policy = Policy.model_validate({**PROVIDER, "expiring_within": "1h"})
    report = verdict(SEEN, policy=policy)
    assert not any(profile.ignored for profile in report.profiles)
    assert not any("needs no credential" in note for note in report.notes)
