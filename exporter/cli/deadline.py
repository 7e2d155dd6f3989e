"""``deadline set``, ``list`` and ``clear``: dates that a person tells the ledger. Thin, like ``cli``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from exporter.cli.options import config_option, ledger_of, read_config

if TYPE_CHECKING:
    from exporter.config import Config
    from exporter.state.credentials_db import CredentialDatabase

T = TypeVar("T")


@click.group()
def deadline() -> None:
    """Dates the ledger cannot know: when a setup-token was made, or when it ends."""


@deadline.command("set")
@click.argument("profile")
@click.argument("date")
@config_option
def deadline_set(profile: str, date: str, config_file: Path | None) -> None:
    """Tell the date of PROFILE (an id, an alias, or either behind TARGET/ or TARGET/AGENT/).

    A DATE in the past is when the token was made, one in the future is when it ends. It holds until
    the credential is replaced.
    """
    from exporter.lib.durations import format_duration, iso, parse_date
    from exporter.state.history import SuppliedDate

    config = read_config(config_file)
    try:
        at = parse_date(date)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    now = time.time()
    made = at <= now
    ledger = _durable_ledger(config)
    known = ledger.profiles()
    profile = _told_about(config, profile, known)
    if known and not any(name == profile or name.endswith(f"/{profile}") or _is_for(profile, name) for name in known):
        there = ", ".join(dict.fromkeys(name.split("/", 2)[2] for name in known[:20]))
        click.echo(f"No profile of that name was seen yet, only {there}: it holds once there is one.", err=True)
    told = SuppliedDate(issued_at=at if made else None, expires_at=None if made else at, supplied_at=now)
    _written(lambda: ledger.set_date(profile, told))
    if made:
        life = config.policy.setup_token_lifetime
        click.echo(f"{profile}: made {iso(at)}, so it ends {iso(at + life)} ({format_duration(life)} later)")
    else:
        click.echo(f"{profile}: ends {iso(at)}")


@deadline.command("list")
@config_option
def deadline_list(config_file: Path | None) -> None:
    """The dates that were told."""
    from exporter.lib.durations import iso

    told = ledger_of(read_config(config_file)).supplied_dates()
    for profile, said in told.items():
        what = f"ends {iso(said.expires_at)}" if said.expires_at is not None else f"made {iso(said.issued_at)}"
        click.echo(f"{profile}\t{what}\ttold {iso(said.supplied_at)}")
    if not told:
        click.echo("No date was told.", err=True)


@deadline.command("clear")
@click.argument("profile")
@config_option
def deadline_clear(profile: str, config_file: Path | None) -> None:
    """Forget what was told of PROFILE."""
    config = read_config(config_file)
    ledger = _durable_ledger(config)
    about = _told_about(config, profile, ledger.profiles())
    if not _written(lambda: ledger.clear_date(profile) or ledger.clear_date(about)):
        raise click.UsageError(f"no date was told for {profile!r}: see `openclaw-auth-exporter deadline list`")
    click.echo(f"{profile}: forgotten")


def _told_about(config: Config, profile: str, known: list[str]) -> str:
    """The key under which a date of ``profile`` is kept: of an alias, the profile that has it.

    ``known`` are the profiles seen, TARGET/AGENT/ID: metrics and alerts, which a person copies from, call one
    TARGET/AGENT/ALIAS.
    """
    if not profile:
        raise click.UsageError("name a profile: see `openclaw-auth-exporter explain`")
    meant = [key for key, said in config.policy.profiles.items() if said.alias == profile]
    if len(meant) > 1:
        raise click.UsageError(f"{profile!r} is the alias of {' and of '.join(meant)}: name one of them")
    if meant:
        return meant[0]
    for name in known:
        target, agent, id = name.split("/", 2)
        alias = config.policy.of(target, agent, id).alias
        for prefix in (f"{target}/{agent}", f"{target}"):
            if profile == f"{prefix}/{alias}":
                return f"{prefix}/{id}"
    return profile


def _is_for(told: str, name: str) -> bool:
    """Whether TARGET/ID is about TARGET/AGENT/ID."""
    target, _, profile = name.split("/", 2)
    return told == f"{target}/{profile}"


def _written(write: Callable[[], T]) -> T:
    """What ``write`` gives back; a ledger that cannot be written is a sentence, not a fault of ours."""
    from exporter.lib.sqlite import StateError

    try:
        return write()
    except StateError as error:
        raise click.ClickException(str(error)) from None


def _durable_ledger(config: Config) -> CredentialDatabase:
    """A ledger that keeps what is told, or a sentence why there is none."""
    import logging

    log = logging.getLogger("exporter.state.credentials_db")
    log.disabled = True  # the sentence is ours to say
    try:
        ledger = ledger_of(config)
    finally:
        log.disabled = False
    if ledger.problem is not None:
        raise click.ClickException(ledger.problem)
    return ledger
