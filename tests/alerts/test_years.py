"""Simulated years: each deadline, reminder and renewal is told once and on time, and nothing while silenced.

The usual run is a quarter of a year with a few profiles. ``OAE_YEARS=5`` (``.ci/full``) lives five years with fifty.
"""

from __future__ import annotations

import os

from alerts import years
from alerts.worlds import DAY, NOW
from exporter.alerts.lifecycle.policy import Silence

YEARS = float(os.environ.get("OAE_YEARS", "0"))
DAYS, PROFILES = (YEARS * 365, 50) if YEARS else (90, 6)


def test_each_deadline_is_told_at_each_of_its_steps_and_nothing_else_is() -> None:
    made = years.credentials(PROFILES, DAYS, seed=1)
    life = years.live(made, DAYS)
    assert years.told(life, "hook") == years.expected(made, NOW + DAYS * DAY)
    phone = [message for message in life.messages if message.channel == "phone" and message.alerts]
    assert phone
    assert [message for message in phone if years.is_night(message.at)] == []


def test_silenced_profile_is_not_told_of_and_every_other_one_is_as_always() -> None:
    made = years.credentials(PROFILES, DAYS, seed=2)
    names = sorted({one.profile for one in made})
    silences = tuple(
        Silence(f"silence-{place}", {"profile": name}, NOW + (20 + place) * DAY, "holidays", NOW + place * DAY)
        for place, name in enumerate(names[::3])
    )
    told = years.told(years.live(made, DAYS, silences), "hook")
    silenced = {silence.matchers["profile"]: silence for silence in silences}
    others = [entry for entry in years.expected(made, NOW + DAYS * DAY) if entry[1] not in silenced]
    assert [entry for entry in told if entry[1] not in silenced] == others
    for at, profile, reason in told:
        if (silence := silenced.get(profile)) is not None and not reason.ends:
            assert not silence.created_at <= at < silence.until, (profile, reason)
