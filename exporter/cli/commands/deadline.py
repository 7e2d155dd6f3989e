"""``deadline``: record when a credential was created or ends."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import names, options, runtime
from exporter.cli.options import examples
from exporter.cli.output import print_line
from exporter.lib.durations import format_duration, iso, parse_date
from exporter.lib.names import nearest, suggestion

if TYPE_CHECKING:
    from exporter.config import Config
    from exporter.state.credentials_db import CredentialDatabase

#: How much a name must be like a known one to be taken for a typing error of it (0 to 1).
TYPING_ERROR = 0.75


@click.group(epilog=examples("deadline set anthropic:default 2026-03-01", "deadline list"))
def deadline() -> None:
    """Record dates that the exporter cannot know: when a setup-token was created, or when it ends."""


@deadline.command(
    "set",
    epilog=examples(
        "deadline set anthropic:default 2026-03-01", "deadline set vps/main/anthropic:default 2027-06-30T12:00:00Z"
    ),
)
@click.argument("profile", shell_complete=names.places)
@click.argument("date")
@options.config_option
def deadline_set(profile: str, date: str, config_file: Path | None) -> None:
    """Record the DATE of PROFILE: its id or alias, or TARGET/ID, or TARGET/AGENT/ID.

    A date in the past is when the token was created. A date in the future is when it ends. The date holds until the
    credential is replaced.
    """
    from exporter.state.history import SuppliedDate

    config = runtime.read_config(config_file)
    at = runtime.parse_option(parse_date, date)
    now = time.time()
    is_created = at <= now
    supplied = SuppliedDate(
        issued_at=at if is_created else None, expires_at=None if is_created else at, supplied_at=now
    )
    with _durable_ledger(config) as ledger:
        known = ledger.profiles()
        key = _key_of(config, profile, known)
        if known and not any(_means(key, name) for name in known):
            _require_unlike(profile, key, known, config)
            seen = ", ".join(dict.fromkeys(name.split("/", 2)[2] for name in known[:20]))
            print_line(f"No check has seen the profile {key} yet, only {seen}. The date waits for it.", err=True)
        ledger.set_date(key, supplied)
    if is_created:
        life = config.policy.setup_token_lifetime
        print_line(f"{key}: created {iso(at)}, so it ends {iso(at + life)} ({format_duration(life)} later)")
    else:
        print_line(f"{key}: ends {iso(at)}")


@deadline.command("list", epilog=examples("deadline list"))
@options.config_option
def deadline_list(config_file: Path | None) -> None:
    """List the recorded dates."""
    with contextlib.closing(runtime.open_ledger(runtime.read_config(config_file))) as ledger:
        dates = ledger.supplied_dates()
    for profile, supplied in dates.items():
        ends = supplied.expires_at is not None
        date = f"ends {iso(supplied.expires_at)}" if ends else f"created {iso(supplied.issued_at)}"
        print_line(profile, date, f"recorded {iso(supplied.supplied_at)}")
    if not dates:
        print_line("No date is recorded.", err=True)


@deadline.command("clear", epilog=examples("deadline clear anthropic:default"))
@click.argument("profile", shell_complete=names.places)
@options.config_option
def deadline_clear(profile: str, config_file: Path | None) -> None:
    """Forget the recorded date of PROFILE."""
    config = runtime.read_config(config_file)
    with _durable_ledger(config) as ledger:
        key = _key_of(config, profile, ledger.profiles())
        if not (ledger.clear_date(profile) or ledger.clear_date(key)):
            end = suggestion(profile, ledger.supplied_dates()) or ": see `openclaw-auth-exporter deadline list`"
            raise click.UsageError(f"no date is recorded for {profile!r}{end}")
    print_line(f"{profile}: cleared")


def _key_of(config: Config, profile: str, known: list[str]) -> str:
    """The key under which a date of ``profile`` is recorded. For an alias, it is the profile that has the alias.

    ``known`` are the profiles seen so far, as TARGET/AGENT/ID. Metrics and alerts, from which people copy, show
    TARGET/AGENT/ALIAS.
    """
    if not profile:
        raise click.UsageError("name a profile: see `openclaw-auth-exporter explain`")
    meant = [key for key, policy in config.policy.profiles.items() if policy.alias == profile]
    if len(meant) > 1:
        raise click.UsageError(f"{profile!r} is the alias of {' and of '.join(meant)}: name one of them")
    if meant:
        return meant[0]
    for name in known:
        target, agent, id = name.split("/", 2)
        alias = config.policy.of(target, agent, id).alias
        for prefix in (f"{target}/{agent}", target):
            if profile == f"{prefix}/{alias}":
                return f"{prefix}/{id}"
    return profile


def _require_unlike(profile: str, key: str, known: list[str], config: Config) -> None:
    """Refuse what is probably a typing error: no check has seen such a profile, but one whose name is much like it."""
    if key in config.policy.profiles:
        return
    parts = [name.split("/", 2) for name in known]
    forms = {id for _, _, id in parts} | {f"{target}/{id}" for target, _, id in parts} | {*known}
    forms |= {policy.alias for policy in config.policy.profiles.values() if policy.alias}
    alike = nearest(profile, forms, TYPING_ERROR) or next(
        (id for _, _, id in parts if id.endswith(f":{profile}")), None
    )
    if alike is not None:
        raise click.UsageError(
            f"no check has seen a profile named {profile!r}; did you mean {alike!r}? "
            "If it is new, run `openclaw-auth-exporter check` first"
        )


def _means(key: str, name: str) -> bool:
    """Whether ``key`` (ID, TARGET/ID or TARGET/AGENT/ID) means the profile ``name`` (TARGET/AGENT/ID)."""
    target, _, profile = name.split("/", 2)
    return name == key or name.endswith(f"/{key}") or key == f"{target}/{profile}"


@contextlib.contextmanager
def _durable_ledger(config: Config) -> Iterator[CredentialDatabase]:
    """The credential database on disk. Raises StateError if only one in memory could be opened."""
    from exporter.lib.sqlite import StateError

    log = logging.getLogger("exporter.state.credentials_db")
    log.disabled = True  # the exception below reports the problem once
    try:
        ledger = runtime.open_ledger(config)
    finally:
        log.disabled = False
    with contextlib.closing(ledger):
        if ledger.problem is not None:
            raise StateError(ledger.problem)
        yield ledger
