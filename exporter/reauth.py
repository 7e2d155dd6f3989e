"""``reauth``: the way back to health, in the person's own terminal. The secret never passes through us.

It shows what needs a person, offers each command of the remedy, runs what is agreed to on this
terminal, and checks afterwards. Every step can be refused, and it can be picked up again.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable

import click

from exporter.model import AgentReport, Condition, Name, Report, Severity
from exporter.units import in_words, iso

#: What a person can mend by signing in again; the others are in it, or are something else.
MENDED = (Name.EXPIRED, Name.EXPIRING, Name.MISSING, Name.UNUSABLE, Name.UNDATED)


def wanting(
    report: Report, target: str | None = None, agent: str | None = None, profile: str | None = None
) -> list[tuple[AgentReport, Condition]]:
    """What a person can mend, the worst first; of one target, agent or profile (id or alias) if given.

    Undated tokens are only offered by name: nothing is wrong with them yet.
    """
    found = []
    for one in (agent_report for t in report.targets for agent_report in t.agents):
        labels = {p.id: p.label for p in one.profiles}
        for condition in one.conditions:
            name = condition.profile
            if condition.name not in MENDED or not condition.remedy or target not in (None, one.target):
                continue
            if agent not in (None, one.agent) or profile not in (None, name, labels.get(name or "")):
                continue
            if profile is not None or condition.severity is not Severity.INFO:
                found.append((one, condition))
    return sorted(found, key=lambda pair: -pair[1].severity.rank)


def is_command(step: str) -> bool:
    """Whether a step of a remedy can be run, or is advice for a person."""
    return step.startswith(("claude ", "openclaw ", "ssh ", "docker ", "podman ", "kubectl ", "OPENCLAW_"))


def walk(steps: Iterable[str], confirm: Callable[[str], bool]) -> bool:
    """Offer each step and run what is agreed to; False once one fails."""
    for step in steps:
        if not is_command(step):
            click.echo(f"  {step}")
        elif confirm(f"Run `{step}` here?"):
            # In a shell of the person's own terminal: our commands are quoted, and nothing is captured.
            if subprocess.run(["/bin/sh", "-c", step], check=False).returncode != 0:
                click.echo("That did not work. Nothing else was changed; run `reauth` again to go on.", err=True)
                return False
        else:
            click.echo("  Skipped.")
    return True


def outcome(report: Report, profile: str | None) -> str:
    """What the check afterwards found, as a sentence."""
    for one in (agent for target in report.targets for agent in target.agents):
        for known in one.profiles:
            if known.id == profile and known.usable:
                left = ""
                if known.expires_at is not None:
                    left = f" for {in_words(known.expires_at - report.checked_at)}, until {iso(known.expires_at)}"
                return f"{known.id} works on {one.target}/{one.agent}{left}."
    return "It is not mended yet: see `openclaw-auth-exporter explain`."
