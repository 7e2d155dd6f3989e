"""The catalogue of conditions: what is the same for every occurrence of a condition, such as its titles.

A condition is a named fact about a credential, a provider or a target, such as ``expired``. Its
severity depends on the situation and is decided in ``exporter/verdict``; its words, its alert
family and its place in the documentation do not, and stand here in one row per condition.

To add a condition, add its row here and its rule in ``exporter/verdict/conditions.py``, then run
``scripts/regenerate``. An incomplete row is a type error.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, Self


class Family(enum.StrEnum):
    """A group of conditions. Conditions of one family about one credential share one alert."""

    DEADLINE = "deadline"
    AVAILABILITY = "availability"
    WATCH = "watch"
    NOTICE = "notice"


class LineWord(enum.StrEnum):
    """The first word of ``check --line`` when something is wrong, in order of urgency."""

    EXPIRED = "EXPIRED"
    UNUSABLE = "UNUSABLE"
    MISSING = "MISSING"
    EXPIRING = "EXPIRING"
    UNKNOWN = "UNKNOWN"


#: The page whose sections say what a condition means and what to do.
RUNBOOK = "https://github.com/openclaw-auth-exporter/openclaw-auth-exporter/blob/main/docs/runbook.md"


class Wording(NamedTuple):
    """The words of notifications about a condition.

    ``title`` may contain ``{subject}`` (the profile, else the provider, else the target),
    ``{cause}`` (the reason in parentheses), ``{window}`` (a quota's window) and ``{expires}``
    (when it expires). The others follow the same subject; a length of time follows ``duration``.
    """

    title: str  # of its notification: "{subject} has expired"
    ended: str  # of its resolution: "works again"
    duration: str  # "was expired for"
    present: str  # "has expired"

    @property
    def past(self) -> str:
        """``was expired``."""
        return self.duration.removesuffix(" for")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConditionDefinition:
    """One row of the catalogue, equal to nothing but itself.

    ``provider_wording`` replaces ``wording`` if no profile is involved.
    ``when``, ``severity``, ``action`` and ``runbook_note`` are Markdown; ``explain`` also prints ``when``.
    """

    word: str  # its name in JSON, labels and configuration
    family: Family
    wording: Wording
    provider_wording: Wording | None = None
    line: LineWord = LineWord.UNKNOWN
    causes_outage: bool = False  # ``no_usable_profile`` lists it and inhibits its alert
    confirmed_by_checks: bool = False  # alerts only after ``alerts.confirm_checks`` checks in a row
    renewal_rank: int = 0  # ``reauth`` fixes it, the lowest rank first; 0: it cannot
    runbook: str  # heading of its section in docs/runbook.md
    runbook_note: str = ""  # other sections that apply
    when: str
    severity: str
    action: str

    @property
    def runbook_url(self) -> str:
        """The address of its section in the runbook."""
        return f"{RUNBOOK}#{self.runbook.lower()}"


class ConditionName(enum.StrEnum):
    """Every condition. Within a family, a later member is worse than an earlier one of its severity."""

    definition: ConditionDefinition

    def __new__(cls, definition: ConditionDefinition | str) -> Self:
        if isinstance(definition, str):  # looking a member up by its word does not come here
            raise TypeError(f"condition {definition!r} needs a ConditionDefinition")
        member = str.__new__(cls, definition.word)
        member._value_ = definition.word
        member.definition = definition
        return member

    @property
    def family(self) -> Family:
        """The alert family; see Family."""
        return self.definition.family

    UNDATED = ConditionDefinition(
        word="undated",
        family=Family.DEADLINE,
        wording=Wording(
            "{subject} has no expiry date", "is no longer undated", "had no expiry date for", "has no expiry date"
        ),
        renewal_rank=5,
        runbook="OpenClawAuthUndated",
        when="An Anthropic token has no expiry date.",
        severity="info",
        action="Paste it again with `--expires-in`, or record its date with `deadline set`.",
    )
    EXPIRING = ConditionDefinition(
        word="expiring",
        family=Family.DEADLINE,
        wording=Wording("{subject} {expires}", "is no longer expiring", "was expiring for", "is expiring"),
        line=LineWord.EXPIRING,
        renewal_rank=4,
        runbook="OpenClawAuthExpiringVerySoon",
        runbook_note="Earlier: [OpenClawAuthExpiringSoon](#openclawauthexpiringsoon)",
        when="The deadline is within `policy.expiring_within`, or the profile's, target's or provider's own.",
        severity="warning; info if nothing in the configuration uses the provider",
        action="Run `claude setup-token`, then paste the new token.",
    )
    EXPIRED = ConditionDefinition(
        word="expired",
        family=Family.DEADLINE,
        wording=Wording("{subject} has expired", "works again", "was expired for", "has expired"),
        line=LineWord.EXPIRED,
        causes_outage=True,
        renewal_rank=1,
        runbook="OpenClawAuthExpired",
        when="The deadline has passed. An OAuth login expires only if nothing can refresh it.",
        severity="critical ¹",
        action="Run `claude setup-token`, then paste the new token.",
    )
    UNUSABLE = ConditionDefinition(
        word="unusable",
        family=Family.AVAILABILITY,
        wording=Wording("{subject} is unusable{cause}", "works again", "was unusable for", "is unusable"),
        line=LineWord.UNUSABLE,
        causes_outage=True,
        renewal_rank=3,
        runbook="OpenClawAuthUnusable",
        runbook_note="If it recovers on its own: [OpenClawAuthCoolingDown](#openclawauthcoolingdown)",
        when="OpenClaw has put the profile into cooldown or disabled it.",
        severity="critical ¹ for `auth`, `auth_permanent`, `session_expired` and `billing`; otherwise info",
        action="Depends on the reason. See the runbook.",
    )
    MISSING = ConditionDefinition(
        word="missing",
        family=Family.AVAILABILITY,
        wording=Wording("{subject} is not eligible", "works again", "was not eligible for", "is not eligible"),
        provider_wording=Wording(
            "{subject} has no credential", "works again", "had no credential for", "has no credential"
        ),
        line=LineWord.MISSING,
        causes_outage=True,
        renewal_rank=2,
        runbook="OpenClawAuthMissing",
        when="A provider in use has no credential, or OpenClaw cannot use a profile.",
        severity="critical ¹",
        action="Paste a token or an API key, or log in.",
    )
    NO_USABLE_PROFILE = ConditionDefinition(
        word="no_usable_profile",
        family=Family.AVAILABILITY,
        wording=Wording(
            "No {subject} credential works", "works again", "had no working credential for", "has no working credential"
        ),
        line=LineWord.MISSING,
        runbook="OpenClawAuthNoUsableCredential",
        when="Every credential of a provider in use is expired, missing or unusable.",
        severity="critical; warning if no chat route uses the provider",
        action="Fix the first credential that needs a person.",
    )
    CHECK_FAILED = ConditionDefinition(
        word="check_failed",
        family=Family.WATCH,
        wording=Wording(
            "{subject} cannot be checked{cause}", "answers again", "could not be checked for", "cannot be checked"
        ),
        confirmed_by_checks=True,
        runbook="OpenClawAuthCheckFailing",
        when="No answer could be read, an error of the exporter itself ended the check, or the check is overdue.",
        severity="critical",
        action="Depends on the reason. See [Reasons of a failed check](#reasons-of-a-failed-check).",
    )
    REPORTED = ConditionDefinition(
        word="reported",
        family=Family.NOTICE,
        wording=Wording(
            "OpenClaw reports a problem",
            "no longer reports a problem",
            "reported a problem for",
            "reports a problem",
        ),
        confirmed_by_checks=True,
        runbook="OpenClawAuthReported",
        when="OpenClaw's own check exits 1 or 2, and no credential explains why.",
        severity="critical for exit code 1; warning for 2 ²",
        action="Run `openclaw models status --check`.",
    )
    STATUS_DISAGREES = ConditionDefinition(
        word="status_disagrees",
        family=Family.NOTICE,
        wording=Wording(
            "{subject} has conflicting status and date",
            "has a status that matches its date",
            "contradicted its date for",
            "contradicts its date",
        ),
        runbook="status_disagrees",
        when="OpenClaw's status of a profile contradicts the profile's date.",
        severity="info",
        action="Send a message that uses the profile.",
    )
    IDLE = ConditionDefinition(
        word="idle",
        family=Family.NOTICE,
        wording=Wording("{subject} has an expired access token", "is no longer idle", "was idle for", "is idle"),
        runbook="idle",
        when="An OAuth access token expired more than `policy.oauth_idle_after` ago and was not refreshed, "
        "and OpenClaw does not report that it cannot be.",
        severity="info; warning if a chat route uses it and the store shows uses or errors since",
        action="Use the profile once. If that does not refresh it, log in again.",
    )
    VANISHED = ConditionDefinition(
        word="vanished",
        family=Family.NOTICE,
        wording=Wording("{subject} is gone", "is no longer reported as gone", "was gone for", "is gone"),
        runbook="vanished",
        when="A profile has disappeared and nothing replaced it. Ends after 7 days, or when acknowledged.",
        severity="info",
        action="Check whether an upgrade removed it.",
    )
    CREDENTIAL_CHANGED = ConditionDefinition(
        word="credential_changed",
        family=Family.NOTICE,
        wording=Wording(
            "{subject} is served by another credential",
            "keeps its new credential",
            "was reported as changed for",
            "has changed",
        ),
        runbook="credential_changed",
        when="Another kind of credential serves a provider. Ends after 7 days.",
        severity="info",
        action="Check what the new credential costs.",
    )
    PARTIAL_VIEW = ConditionDefinition(
        word="partial_view",
        family=Family.NOTICE,
        wording=Wording(
            "Cooldowns cannot be seen", "shows cooldowns again", "did not show cooldowns for", "does not show cooldowns"
        ),
        runbook="partial_view",
        when="The source cannot see cooldowns, and no store on this host supplies them.",
        severity="info",
        action="Set the target's `state_dir`.",
    )
    QUOTA = ConditionDefinition(
        word="quota",
        family=Family.NOTICE,
        wording=Wording(
            "{subject} has used over 90 % of its{window} quota",
            "has its{window} quota back",
            "was above 90 % of its quota for",
            "is above 90 % of its quota",
        ),
        runbook="OpenClawAuthQuota",
        when="More than 90 % of a usage window is used.",
        severity="info",
        action="Use less until the window resets.",
    )
    CLOCK = ConditionDefinition(
        word="clock",
        family=Family.NOTICE,
        wording=Wording(
            "The clock is wrong; deadlines are ignored",
            "has the right time again",
            "had the wrong time for",
            "has the wrong time",
        ),
        runbook="OpenClawAuthClock",
        when="The clock is earlier than a stored time, or than 2026. Deadlines are not evaluated.",
        severity="warning",
        action="Set the clock.",
    )
