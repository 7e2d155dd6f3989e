"""``init``: write a starting configuration and install the user's systemd units."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import runtime
from exporter.cli.options import config_option, examples
from exporter.cli.output import print_line, print_result

if TYPE_CHECKING:
    from exporter.setup.homes import FoundHome


@click.command(epilog=examples("init", "init --systemd", "init --force"))
@click.option("--force", is_flag=True, help="Replace an existing configuration file. The old file is kept beside it.")
@click.option("--systemd", is_flag=True, help="Also install and start the daemon as a systemd user unit.")
@config_option
def init(force: bool, systemd: bool, config_file: Path | None) -> None:
    """Write a commented starting configuration. With --systemd, also install and start the daemon.

    Further OpenClaw homes are proposed as targets: named ones, and if you are root those of other users.

    On a terminal, it offers notifications on your phone, shows a QR code for them and sends a test. Asks nothing if
    standard input is not a terminal. Ends with the commands that undo it.
    """
    from exporter.config import load
    from exporter.setup import init as setup
    from exporter.setup import search_path

    path = config_file.absolute() if config_file else setup.config_path()
    undo: list[str] = []
    try:
        if systemd:
            setup.require_systemd()
        if systemd and not force and os.path.lexists(path):
            _keep_config(path)
        else:
            _write_config(path, force, undo)
        page = setup.page_address(load(path).web)
        if systemd:
            undo[:0] = setup.undo_units(setup.write_units(path))
            for note in search_path.lasting(os.environ).notes:
                print_line(f"PATH: {note}")
            _start(page)
        else:
            print_line(
                "Next: `openclaw-auth-exporter check` checks once, `openclaw-auth-exporter serve` runs a daemon, "
                f"with its page at {page}"
            )
    finally:
        if undo:
            print_result("\n".join(["To undo this:", *(f"  {command}" for command in undo)]))


def _keep_config(path: Path) -> None:
    from exporter.config import load

    load(path)
    print_line(f"{path}: already exists and is kept")


def _write_config(path: Path, force: bool, undo: list[str]) -> None:
    from exporter.setup import homes
    from exporter.setup import init as setup

    is_new = force or not os.path.lexists(path)
    found = homes.find_homes(Path(os.path.expanduser("~")), homes.other_users()) if is_new else []
    checks_homes = _checks_too(found)
    topic_file = _topic_file(path, undo) if is_new else None
    text = setup.starting_config(setup.found_env_file(), topic_file, found, checks_homes=checks_homes)
    kept = setup.write_config(path, text, force)
    undo.append(setup.undo_config(path, kept))
    print_line(f"{path}: written" + (f"; the old file is now {kept}" if kept else ""))
    if found and not checks_homes:
        print_line(f"To check these homes too, remove the // before their targets in {path}.")
    if topic_file is not None:
        _ring(path)


def _checks_too(found: Sequence[FoundHome]) -> bool:
    """Name the homes of OpenClaw that were found beside the user's own, and ask whether to check them."""
    for home in found:
        print_line(f"OpenClaw is also in {home.folder}: target {home.name}, `{shlex.join(home.command)}`")
    return bool(found) and sys.stdin.isatty() and click.confirm("Check these too?", default=True)


def _topic_file(config_file: Path, undo: list[str]) -> Path | None:
    """Ask whether to notify a phone. Without a channel nobody is notified."""
    from exporter.setup import init as setup

    question = "Send notifications to your phone through the ntfy app and its public server ntfy.sh?"
    if not sys.stdin.isatty() or not click.confirm(question):
        return None
    path = config_file.parent / "ntfy-topic"
    is_new = not path.exists()
    topic = setup.write_topic(path)
    if is_new:
        undo.append(setup.undo_config(path, None))
    if sys.stdout.isatty():
        print_result(setup.qr_code(setup.topic_link(topic)))
    print_line(f"Install the ntfy app on the phone and open {setup.topic_link(topic)} there, or scan the code.")
    print_line(f"In the ntfy app, subscribe to the topic {topic}")
    print_line(f"Anyone who knows the topic can read the notifications. It is kept in {path}.")
    return path


def _ring(path: Path) -> None:
    """Send a test notification, once the phone has subscribed, and wait until its button is pressed."""
    from exporter.alerts.delivery.one_shot import BUTTON, ring
    from exporter.config import load

    again = "`openclaw-auth-exporter notify test`"
    (channel,) = load(path).channels
    try:
        if not click.confirm("Has the phone subscribed? Send it a test notification now?", default=True):
            raise click.Abort
        waits = (
            f"{channel.name}: delivered to the server. Press {BUTTON!r} in the notification (Ctrl-C goes on without)."
        )
        problem, was_pressed = runtime.run(ring(load(path), channel.name, time.time(), lambda: print_line(waits)))
    except (click.Abort, KeyboardInterrupt):
        print_line(f"To test it later: {again}.")
        return
    if problem is not None:
        print_line(f"{channel.name}: FAILED: {problem}. Try again: {again}.", err=True)
    elif was_pressed:
        print_line(f"{channel.name}: the phone has answered.")
    else:
        print_line(f"{channel.name}: no answer. If the phone stayed silent, check the topic. Try again: {again}.")


def _start(page: str) -> None:
    from exporter.setup import init as setup

    unit = setup.chosen_unit()
    setup.start(unit)
    if unit == setup.TIMER:
        print_line(f"{unit}: enabled instead of the daemon, as before.")
        return
    print_line(f"{unit}: enabled, started and ready. See `systemctl --user status {unit}`.")
    print_line(f"The page: {page}")
    if not setup.lingers():
        print_line("It stops when you log out. To keep it running: `loginctl enable-linger`.")
    print_line(f"To check from a timer instead: `systemctl --user disable --now {unit}` and")
    print_line(f"`systemctl --user enable --now {setup.TIMER}`.")
