"""The cards of the status page: a case of a report, with its alert and what a visitor can do about it.

Nothing is decided here, except what a card shows. A new action is one line in ``actions_of``.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.model import ConditionName, Family, Severity, Step
from exporter.present.attention import Case, Urgency
from exporter.present.shared import SharedProfile
from exporter.state.day_history import DayState, Key
from exporter.web.links import renewal_of

#: The time left that fills a bar, in seconds. The scale is that of the square root, so that hours can be seen.
FULL_BAR = 365 * 86400.0
#: How long an alert can be silenced from the page: value and label.
SILENCES = (("1h", "1 h"), ("8h", "8 h"), ("morning", "until morning"), ("3d", "3 days"))


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do about a card: a button that sends ``fields`` to ``path``, or a link if there are none.

    With ``choices`` it opens to a field for a reason and a button for each choice, sent as ``for``.
    """

    label: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A case as the page shows it."""

    id: str
    case: Case
    alert: Mapping[str, Any] | None  # as the status API has it; None: no alert fires
    about: tuple[SharedProfile, ...]  # the credentials that it is about
    tone: str
    title: str
    lead: str  # what is wrong, in a few words; the time of ``moment`` follows
    moment: float | None  # when it ends or recovers, Unix seconds
    steps: tuple[Step, ...] = ()  # renew it before anything is wrong with it

    @property
    def of(self) -> list[str]:
        """The ids of the credentials that it is about."""
        return [profile_id(shared) for shared in self.about]


def cards_of(
    cases: Iterable[Case],
    alerts: Sequence[Mapping[str, Any]],
    by_provider: Mapping[tuple[str, str], Sequence[SharedProfile]],
    renew: Callable[[SharedProfile], tuple[Step, ...]],
) -> list[Card]:
    """A card for each case. ``by_provider`` has the credentials of each (target, provider).

    ``renew`` has the steps that renew a credential that still works.
    """
    cards = []
    for case in cases:
        if case.credential is not None:
            id = profile_id(case.credential)
            of: tuple[SharedProfile, ...] = (case.credential,)
        else:
            conditions = [str(one.condition.name) for one in case.conditions]
            id = short_hash(case.target, case.provider or "", *conditions, *case.agents)
            of = tuple(by_provider.get((case.target, case.provider or ""), ()))
        steps = renew(case.credential) if case.credential is not None and not case.conditions else ()
        title = case.subject or case.target
        cards.append(Card(id, case, _alert(case, alerts), of, _tone(case), title, *_lead(case), steps))
    return cards


def actions_of(card: Card, renews: bool = False) -> list[Action]:
    """What a signed-in visitor can do about a card, in the order of the buttons. ``renews``: the page renews."""
    paths = (renewal_of(card.case.target, card.case.agents, one.condition) for one in card.case.conditions if renews)
    return [
        *(Action("Renew", path) for path in [next(filter(None, paths), None)] if path),
        Action("Check now", "api/v1/check", {"target": card.case.target}),
        *(alert_actions(card.alert) if card.alert is not None else ()),
    ]


def alert_actions(alert: Mapping[str, Any]) -> list[Action]:
    """What a signed-in visitor can do about an alert."""
    acknowledge = Action("Acknowledge", "api/v1/acknowledge", {"fingerprint": alert["fingerprint"]})
    silence = Action("Silence …", "api/v1/silences", alert["matchers"], SILENCES)
    return [acknowledge] * (not alert["acknowledged_at"]) + [silence] * (not alert["silenced_until"])


@dataclass(frozen=True, slots=True)
class Strip:
    """The last days of a credential: for each state the path of its days, in SVG, and all as a sentence."""

    name: str
    paths: tuple[tuple[str, str], ...]
    sentence: str

    @classmethod
    def of(cls, shared: SharedProfile, letters: str) -> Strip:
        paths, first = dict.fromkeys(_STATE_WORDS, ""), 0
        for letter, days in itertools.groupby(letters):
            length = len(list(days))
            paths[letter] += f"M{first} 6h{length}"
            first += length
        drawn = tuple((_STATE_WORDS[letter].replace(" ", "-"), path) for letter, path in paths.items() if path)
        counted = [f"{word} on {letters.count(letter)}" for letter, word in _STATE_WORDS.items() if letter in letters]
        return cls(shared.profile.id, drawn, f"The last {len(letters)} days: {', '.join(counted)}.")


_STATE_WORDS = {
    str(state): word
    for state, word in (
        (DayState.WORKS, "works"),
        (DayState.COOLING_DOWN, "cooling down"),
        (DayState.UNUSABLE, "unusable"),
        (DayState.NOT_SEEN, "not seen"),
    )
}


def day_key(shared: SharedProfile) -> Key:
    """Identifies a credential in the history of days."""
    return shared.target, shared.profile.provider, shared.profile.id


def profile_id(shared: SharedProfile) -> str:
    """Identifies a credential in links of the page; equal to the id of a card about it."""
    return short_hash(shared.target, shared.profile.provider, shared.profile.id, *shared.agents[:1])


def short_hash(*parts: str) -> str:
    """Ten hex characters for a key."""
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=5).hexdigest()


def bar(deadline: float | None, now: float) -> int:
    """How full the bar of a credential is, in percent."""
    if deadline is None or not math.isfinite(deadline) or deadline <= now:
        return 0
    return max(1, min(100, round(100 * math.sqrt((deadline - now) / FULL_BAR))))


def _tone(case: Case) -> str:
    if case.severity is Severity.INFO or case.urgency is Urgency.RECOVERS:
        return "warning"
    return case.severity.value


def _lead(case: Case) -> tuple[str, float | None]:
    deadline = case.deadline if math.isfinite(case.deadline) else None
    if case.urgency is Urgency.RECOVERS:
        fails = any(one.condition.name is ConditionName.NO_USABLE_PROFILE for one in case.conditions)
        what = "Replies fail now; recovers" if fails else "Cooling down; recovers"
        return (what, case.recovers_at) if case.recovers_at is not None else (f"{what} on its own", None)
    worst = case.conditions[0].condition if case.conditions else None
    if worst is None:
        return "Ends", deadline
    if worst.family is Family.DEADLINE:
        return {"expired": "Expired", "expiring": "Expires"}.get(worst.name, "Ends"), deadline
    wording = worst.name.definition.wording
    if worst.profile is None and worst.name.definition.provider_wording is not None:
        wording = worst.name.definition.provider_wording
    reason = f" ({worst.reason})" if worst.reason else ""
    return wording.present[:1].upper() + wording.present[1:] + reason, None


def _alert(case: Case, alerts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The alert about the case's worst condition that has an alert."""
    for shared in case.conditions:
        condition = shared.condition
        subject = (case.target, condition.provider or None, condition.profile or None, condition.family.value)
        found = [a for a in alerts if (a["target"], a["provider"], a["profile"], str(a["family"])) == subject]
        if found:
            return next((alert for alert in found if set(alert["agents"]) & set(case.agents)), found[0])
    return None
