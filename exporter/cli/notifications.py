"""The commands about notifications: ``notify test``, ``silence``, ``forecast``; ``cli`` registers them."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.options import EX_TEMPFAIL, config_option, ledger_of, read_config

if TYPE_CHECKING:
    from exporter.alerts.channels import Links
    from exporter.alerts.delivery.outbox import Outbox
    from exporter.config import Config

#: How many messages a forecast shows.
MESSAGES = 10_000


@click.group()
def notify() -> None:
    """Notifications: send a test."""


@notify.command("test")
@click.option("--channel", "names", multiple=True, metavar="NAME", help="Only this channel; may be repeated.")
@config_option
def notify_test(names: tuple[str, ...], config_file: Path | None) -> int:
    """Send one real test notification per channel and report each; exits 75 when one failed."""
    from exporter.alerts.delivery.notifier import send_test

    config = read_config(config_file)
    known = [channel.name for channel in config.channels]
    if not known:
        raise click.UsageError("no channel is configured: write one into `channels`")
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no channel named {name!r}{_nearest(name, known)}")
    results = asyncio.run(send_test(config, dict.fromkeys(names or known), time.time(), _links(config)))
    for name, problem in results:
        click.echo(f"{name}: delivered" if problem is None else f"{name}: FAILED: {problem}")
    return EX_TEMPFAIL if any(problem for _, problem in results) else 0


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name[:128], known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _links(config: Config) -> Links:
    """The links of buttons, as the daemon with this state directory will know them; none where nobody serves them."""
    from exporter.alerts.channels import no_links

    if not config.web.external_url:
        return no_links
    from exporter.web import links

    ledger = ledger_of(config)
    try:
        key = ledger.keyed_hash(links.KEY).encode()
    finally:
        ledger.close()
    return links.maker(key, lambda: config.web.external_url, time.time)


def explained(config: Config) -> dict[tuple[str, str, str, str], list[str]]:
    """Where each alert stands, for ``explain``; nothing where nothing was ever told, or it cannot be read."""
    from exporter.alerts.delivery.notifier import FILE
    from exporter.alerts.delivery.overview import explained as lines
    from exporter.alerts.lifecycle.policy import AlertPolicy
    from exporter.config import default_state_dir
    from exporter.lib.sqlite import StateError

    if not config.channels or not (default_state_dir(config) / FILE).exists():
        return {}
    now = time.time()
    try:
        with _closing(_outbox(config)) as outbox:
            policy = AlertPolicy.of(config, outbox.silences(now), outbox.acknowledged())
            return lines(outbox.states(), policy, now, outbox.undelivered())
    except (click.ClickException, StateError) as error:
        click.echo(f"Where alerts stand is not known: {error}", err=True)
        return {}


def _outbox(config: Config) -> Outbox:
    from exporter.alerts.delivery.notifier import FILE
    from exporter.alerts.delivery.outbox import Outbox
    from exporter.config import default_state_dir
    from exporter.lib.sqlite import StateError

    directory = default_state_dir(config)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Outbox(directory / FILE)
    except (OSError, StateError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise click.ClickException(f"the alert state in {directory} cannot be used: {why}") from None


@click.group()
def silence() -> None:
    """Mute alerts for a time; what still holds at its end is told then."""


@silence.command("add")
@click.option("--target", metavar="NAME")
@click.option("--agent", metavar="ID")
@click.option("--provider", metavar="NAME")
@click.option("--profile", metavar="ID")
@click.option("--condition", metavar="NAME")
@click.option("--for", "length", required=True, metavar="DURATION", help="Like 8h or 3d.")
@click.option("--reason", default="", help="Why, for whoever asks later.")
@config_option
def silence_add(length: str, reason: str, config_file: Path | None, **matchers: str | None) -> None:
    """Mute what matches all that is given."""
    from exporter.lib.durations import iso, parse_duration
    from exporter.model import ConditionName

    given = {name: value for name, value in matchers.items() if value is not None}
    if not given:
        raise click.UsageError(
            "say what to mute: at least one of --target, --agent, --provider, --profile, --condition"
        )
    if given.get("condition") not in (None, *ConditionName):
        raise click.UsageError(f"there is no condition {given['condition']!r}; there are {', '.join(ConditionName)}")
    try:
        seconds = parse_duration(length)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if not seconds:
        raise click.UsageError(f"--for: {length!r} is over at once")
    now = time.time()
    with _closing(_outbox(read_config(config_file))) as outbox:
        added = outbox.add_silence(given, now + seconds, reason, now)
    click.echo(f"{added.id}: {_matchers(added.matchers)} until {iso(added.until)}")


@silence.command("list")
@config_option
def silence_list(config_file: Path | None) -> None:
    """The silences that hold."""
    from exporter.lib.durations import iso

    with _closing(_outbox(read_config(config_file))) as outbox:
        silences = outbox.silences(time.time())
    for one in silences:
        click.echo("\t".join(filter(None, (one.id, _matchers(one.matchers), f"until {iso(one.until)}", one.reason))))
    if not silences:
        click.echo("Nothing is silenced.", err=True)


@silence.command("remove")
@click.argument("id")
@config_option
def silence_remove(id: str, config_file: Path | None) -> None:
    """End the silence ID early."""
    with _closing(_outbox(read_config(config_file))) as outbox:
        if not outbox.remove_silence(id):
            raise click.UsageError(f"no silence is named {id!r}: see `openclaw-auth-exporter silence list`")
    click.echo(f"{id}: removed")


def _matchers(matchers: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(matchers.items()))


@contextlib.contextmanager
def _closing(outbox: Outbox) -> Iterator[Outbox]:
    """Closed at the end; what cannot be read or written is a sentence, not a fault of ours."""
    from exporter.lib.sqlite import StateError

    try:
        yield outbox
    except StateError as error:
        raise click.ClickException(str(error)) from None
    finally:
        outbox.close()


@click.command()
@click.option("--for", "length", default="1y", show_default=True, metavar="DURATION")
@config_option
def forecast(length: str, config_file: Path | None) -> None:
    """Every message that would be sent on today's facts: when, to which channel, saying what."""
    from dataclasses import replace

    from exporter.alerts import lifecycle
    from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, commands_of
    from exporter.alerts.message import text
    from exporter.cli import check_with
    from exporter.lib.durations import iso, parse_duration

    try:
        ahead = parse_duration(length)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    config = read_config(config_file)
    now = time.time()
    with _closing(_outbox(config)) as outbox:
        states, proofs = outbox.states(), outbox.tests_sent()
        policy = AlertPolicy.of(config, outbox.silences(now), outbox.acknowledged(), commands_of(config))
    if not policy.channels:
        policy = replace(policy, channels=(ChannelPolicy("(no channel configured)"),))
    report, monitor = check_with(config, None)
    told = lifecycle.forecast(states, report, policy, now, now + ahead, monitor.as_of, proofs, MESSAGES + 1)
    for at, message in told[:MESSAGES]:
        for alert in message.alerts:
            click.echo(f"{iso(at)}  {message.channel}  {alert.reason}  {text.title(alert, at)}")
        if message.suppressed:
            click.echo(f"{iso(at)}  {message.channel}  summary  {text.summary_title(message)}")
    if len(told) > MESSAGES:
        click.echo(f"These are the first {MESSAGES:,}; the rest is cut off: ask for less than {length}.", err=True)
    if not told:
        click.echo(f"Nothing would be told within {length}.", err=True)
