"""The sentences of ``reauth`` about reports and credentials: pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from exporter.lib.durations import in_words, iso
from exporter.model import AgentReport, Condition, ConditionName, Failure, ProfileReport, Report, Severity
from exporter.model.renewals import FIXABLE
from exporter.present.words import count, visible
from exporter.reauth import candidates
from exporter.reauth.candidates import Candidate, Selection
from exporter.reauth.terminal import NOTHING_PASTED

#: sh's exit code for a missing program, and ssh's for a host it cannot connect to.
NOT_FOUND, NO_CONNECTION = 127, 255
#: How many entries of a list are shown.
LISTED = 10


def name_of(candidate: Candidate) -> str:
    """The credential, like ``anthropic:default on home/main``."""
    return _name(candidate.profile, candidate.agent)


def _name(profile: str, agent: AgentReport) -> str:
    return f"{visible(profile)} on {visible(agent.target)}/{visible(agent.agent)}"


def summary(condition: Condition) -> str:
    return f"{condition.severity}: {visible(condition.summary, 400)}"


def describe(candidate: Candidate, now: float) -> str:
    """What is wrong with the credential, if anything."""
    if candidate.conditions:
        return summary(candidate.conditions[0])
    ends = candidate.before.expires_at if candidate.before else None
    state = f" It works {until(ends, now)}." if ends is not None else ""
    return f"{name_of(candidate)}: nothing is wrong with it.{state}"


def until(moment: float, now: float) -> str:
    """``until 2027-11-22T10:00:00Z, in 365 days``."""
    left = moment - now
    distance = f"in {in_words(left)}" if left > 0 else f"{in_words(left)} ago"
    return f"until {iso(moment) or 'beyond the year 9999'}, {distance}"


def attention(found: Sequence[Candidate], still: str = "") -> str | None:
    """The heading of a list of candidates; None if none of them needs anything."""
    needy = sum(candidate.severity is not Severity.INFO for candidate in found)
    verb = "needs" if needy == 1 else "need"
    return f"{count(needy, 'credential')} {still}{verb} attention:" if needy else None


def next_expiry(report: Report, selection: Selection) -> str | None:
    """Which of the selected credentials expires first."""
    profiles = ((agent, profile) for agent in selection.agents(report) for profile in agent.profiles)
    dated = [(profile.expires_at, agent, profile) for agent, profile in profiles if profile.expires_at is not None]
    if not dated:
        return None
    ends, agent, profile = min(dated, key=lambda entry: entry[0])
    return f"Next to expire: {_name(profile.label, agent)}. It works {until(ends, report.checked_at)}."


def outcome(
    candidate: Candidate, agent: AgentReport | None, after: ProfileReport | None, failure: Failure | None, now: float
) -> list[str]:
    """What the check after a renewal found."""
    name = name_of(candidate)
    if failure is not None:
        return [f"The check failed: {visible(failure.message, 400)}."]
    if after is None:
        return [f"There is no {name} yet."]
    changed, blocked = candidates.has_changed(candidate.before, after), after.unusable
    sentences = []
    if changed is False and (blocked is None or blocked.reason != "billing"):
        sentences.append(f"OpenClaw has stored nothing new for {name}.")
    elif changed and candidates.has_new_secret(candidate.before, after) is False:
        sentences.append("The secret is the same as before; only its date is new.")
    if blocked is not None:
        stored = "It is stored, but " if changed else ""
        end = f" {until(blocked.until, now)}" if blocked.until is not None else ""
        reason = f" ({visible(blocked.reason, 40)})" if blocked.reason else ""
        return [*sentences, f"{stored}OpenClaw keeps {name} {blocked.kind}{reason}{end}. It tries it again then."]
    if changed is False:
        return sentences
    for condition in agent.conditions if agent else ():
        is_about_it = condition.profile == candidate.profile and condition.name in FIXABLE
        if is_about_it and condition.name is not ConditionName.UNDATED:
            return [*sentences, f"Not fixed yet: {visible(condition.summary, 400)}."]
    if candidate.profile.startswith("env:"):  # no source sees whether the value is another one
        return [*sentences, f"OpenClaw finds {name}. The next reply shows whether it works."]
    end = f" {until(after.expires_at, now)}" if after.expires_at is not None else ""
    return [*sentences, f"{name} works{end}."]


def command_failure(code: int) -> str:
    """What the exit code of a step's command means; a negative one is a signal."""
    meanings = {
        NOTHING_PASTED: "Nothing was stored.",
        NOT_FOUND: "The program was not found.",
        NO_CONNECTION: "ssh could not connect or was interrupted.",
        130: "Interrupted.",
    }
    return meanings.get(code if code >= 0 else 130, f"The command failed (exit code {code}).")


def resume_command(candidate: Candidate) -> str:
    """The command that continues with one credential."""
    names = ("--target", candidate.agent.target, "--agent", candidate.agent.agent, "--profile", candidate.profile)
    return shlex.join(["openclaw-auth-exporter", "reauth", *names])
