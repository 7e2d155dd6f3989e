"""Completes names for the shell: of targets, agents, profiles, channels and conditions.

Reads only the configuration and the ledger, creates neither, and completes nothing if they cannot be read. Other
packages of ours are imported inside functions to keep start-up fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from exporter.config import Config
    from exporter.state.credentials_db import RecordedProfile

#: What click calls with the context, the parameter and the beginning of the word.
Completer = Callable[[click.Context, click.Parameter, str], Any]


def _completer(read: Callable[[Config], Iterable[str]]) -> Completer:
    """Completes the names that ``read`` finds. A name that no shell could show or take back is left out."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from exporter.config import default_config_file, load
        from exporter.config.values import expand

        given = context.params.get("config_file") or context.find_root().params.get("config_file")
        config = _with_listed(load(expand(str(given)) if given else default_config_file()))
        return sorted({name for name in read(config) if name.startswith(incomplete) and name.isprintable()})

    return complete


def _with_listed(config: Config) -> Config:
    """``config`` with the targets of lists that are files."""
    files = [entry for entry in config.targets_from if entry.type == "file"]
    if not files:
        return config
    from exporter.config.target_lists import TargetLists

    return TargetLists(None).apply(config.model_copy(update={"targets_from": files}))


def _seen(config: Config) -> list[RecordedProfile]:
    """Every profile that the ledger has."""
    from exporter.state.credentials_db import recorded_profiles

    return recorded_profiles(config.state_directory())


def _targets(config: Config) -> Iterator[str]:
    yield from (target.name for target in config.targets)


def _channels(config: Config) -> Iterator[str]:
    yield from (channel.name for channel in config.channels)


def _agents(config: Config) -> Iterator[str]:
    yield from (seen.agent for seen in _seen(config))
    for target in config.targets:
        agents = getattr(target, "agents", "all")
        yield from agents if isinstance(agents, list) else ()


def _profiles(config: Config) -> Iterator[str]:
    """Ids and aliases."""
    yield from (seen.profile for seen in _seen(config))
    for key, policy in config.policy.profiles.items():
        yield from filter(None, [key.rpartition("/")[2], policy.alias])


def _places(config: Config) -> Iterator[str]:
    """Profiles, and profiles of one target or agent, as ``deadline`` takes them."""
    yield from _profiles(config)
    yield from config.policy.profiles
    for target, agent, _, profile in _seen(config):
        yield from (f"{target}/{profile}", f"{target}/{agent}/{profile}")


def _providers(config: Config) -> Iterator[str]:
    yield from (seen.provider for seen in _seen(config))
    yield from config.policy.providers


def _conditions(config: Config) -> Iterator[str]:
    from exporter.model import ConditionName

    yield from (name.value for name in ConditionName)


def _assets(config: Config) -> Iterator[str]:
    from exporter.setup import assets

    yield from assets.names()


targets = _completer(_targets)
channels = _completer(_channels)
agents = _completer(_agents)
profiles = _completer(_profiles)
places = _completer(_places)
providers = _completer(_providers)
conditions = _completer(_conditions)
assets = _completer(_assets)


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Lets the shell complete the name of a file."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
