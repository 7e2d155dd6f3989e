"""A profile may have a threshold of its own."""

from __future__ import annotations

from captured import verdict
from worlds import DAY, NOW

from exporter.config import Policy
from exporter.model import Dialect, Observation, ObservedProfile, Status

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
