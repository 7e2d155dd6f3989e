"""``silence``: mute alerts for a time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import names, options, runtime
from exporter.cli.options import examples
from exporter.cli.output import print_line
from exporter.lib.durations import iso, parse_duration
from exporter.lib.names import suggestion

if TYPE_CHECKING:
    from exporter.alerts.delivery.outbox import Outbox
    from exporter.alerts.lifecycle.policy import Silence
    from exporter.config import Config


@click.group(epilog=examples('silence add --target home --for 8h --reason "moving house"', "silence list"))
def silence() -> None:
    """Mute alerts for a time. An alert that still fires when its silence ends is sent then."""


@silence.command(
    "add",
    epilog=examples(
        'silence add --target home --for 8h --reason "moving house"',
        "silence add --profile anthropic:spare --condition expired --for 3d",
    ),
)
@click.option("--target", metavar="NAME", help="Alerts of this target.", shell_complete=names.targets)
@click.option("--agent", metavar="ID", help="Alerts whose agents all match.", shell_complete=names.agents)
@click.option("--provider", metavar="NAME", help="Alerts of this provider.", shell_complete=names.providers)
@click.option("--profile", metavar="ID", help="Alerts of this profile.", shell_complete=names.profiles)
@click.option("--condition", metavar="NAME", help="Alerts of this condition.", shell_complete=names.conditions)
@click.option("--for", "length", required=True, metavar="DURATION", help="How long, like 8h or 3d.")
@click.option("--reason", default="", help="A note for the people who list silences later.")
@options.config_option
def silence_add(length: str, reason: str, config_file: Path | None, **matchers: str | None) -> None:
    """Mute alerts that match every given filter."""
    from exporter.model import ConditionName

    given = {name: value for name, value in matchers.items() if value is not None}
    if not given:
        raise click.UsageError("give at least one of --target, --agent, --provider, --profile and --condition")
    condition = given.get("condition")
    if condition is not None and condition not in list(ConditionName):
        raise click.UsageError(f"there is no condition named {condition!r}{suggestion(condition, ConditionName)}")
    seconds = runtime.parse_option(parse_duration, length)
    if not seconds:
        raise click.UsageError(f"--for: {length!r} must be longer than 0")
    now = time.time()
    config = runtime.read_targets(config_file)
    with runtime.open_outbox(config) as outbox:
        added = outbox.add_silence(given, now + seconds, reason, now)
        subjects = [*_seen(config), *_alerting(outbox)]
    print_line(f"{added.id}: {_filters(added)} until {iso(added.until)}")
    if (warning := matches_nothing(given, {target.name for target in config.targets}, subjects)) is not None:
        print_line(f"warning: it matches nothing now: {warning}", err=True)


@silence.command("list", epilog=examples("silence list"))
@options.config_option
def silence_list(config_file: Path | None) -> None:
    """List the silences in effect."""
    with runtime.open_outbox(runtime.read_config(config_file)) as outbox:
        silences = outbox.silences(time.time())
    for silence in silences:
        fields = (silence.id, _filters(silence), f"until {iso(silence.until)}", silence.reason)
        print_line(*filter(None, fields))
    if not silences:
        print_line("No silence is in effect.", err=True)


@silence.command("remove", epilog=examples("silence remove 01KB6Z3Y7Q"))
@click.argument("id")
@options.config_option
def silence_remove(id: str, config_file: Path | None) -> None:
    """End the silence ID early."""
    with runtime.open_outbox(runtime.read_config(config_file)) as outbox:
        if not outbox.remove_silence(id):
            raise click.UsageError(f"there is no silence {id!r}: see `openclaw-auth-exporter silence list`")
    print_line(f"{id}: removed")


#: The names of one profile or alert, by what a silence can match on. An alert has several agents, a profile two names.
Subject = Mapping[str, Collection[str]]


def matches_nothing(given: Mapping[str, str], targets: Collection[str], subjects: Iterable[Subject]) -> str | None:
    """Why a silence matches nothing that is known now, as a phrase; None if it may match. Pure.

    An unknown name comes with the nearest known one. Nothing is said about profiles before the first check.
    """
    subjects = list(subjects)
    known: dict[str, set[str]] = {"target": {*targets}}
    for subject in subjects:
        for name, values in subject.items():
            known.setdefault(name, set()).update(values)
    for name, value in given.items():
        if name != "condition" and known.get(name) and value not in known[name]:
            return f"there is no {name} named {value!r}{suggestion(value, known[name])}"
    named = {name: value for name, value in given.items() if name != "condition"}
    if not subjects or not {*named} - {"target"}:
        return None  # any of the target's profiles may come to match
    if any(all(value in subject.get(name, ()) for name, value in named.items()) for subject in subjects):
        return None
    return f"no profile has {' and '.join(f'{name} {value!r}' for name, value in named.items())}"


def _seen(config: Config) -> Iterator[Subject]:
    from exporter.state.credentials_db import recorded_profiles

    for target, agent, provider, profile in recorded_profiles(config.state_directory()):
        alias = config.policy.of(target, agent, profile).alias
        yield {
            "target": [target],
            "agent": [agent],
            "provider": [provider],
            "profile": [profile, alias] if alias else [profile],
        }


def _alerting(outbox: Outbox) -> Iterator[Subject]:
    for state in outbox.states().values():
        subject = state.subject
        names = {"target": subject.target, "provider": subject.provider, "profile": subject.profile}
        found = {name: [value] for name, value in names.items() if value}
        yield {**found, "agent": [*(state.facts or state.agents)]}


def _filters(silence: Silence) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(silence.matchers.items()))
