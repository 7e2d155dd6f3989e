"""Reads the text of one list of targets, in Prometheus' file_sd and http_sd format. Pure.

A list is written by other programs, perhaps by other people. It may set a target's name, url, agents, interval and
labels; the configuration decides the rest. So no list can run a command, read a file, or, with ``url_match``, send a
token elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from exporter.config.reading import parse_json5
from exporter.config.targets import GatewayTarget, ListDefaults
from exporter.config.values import ConfigError
from exporter.lib.printable import one_line
from exporter.lib.user_pattern import MAX_LENGTH, user_pattern

#: What a list may set, beside labels.
KEYS = ("name", "url", "agents", "interval")
#: The largest list, in MiB and in targets.
MAX_LIST, MAX_TARGETS = 16, 100_000
#: How many mistakes of one list are described.
MAX_PROBLEMS = 3

_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
#: No user, query or fragment, and nothing that two programs could read differently.
_URL = re.compile(r"https?://[A-Za-z0-9._:\[\]-]{1,260}(?:/[A-Za-z0-9._~/-]{0,500})?")


def targets_of(text: str, defaults: ListDefaults) -> list[GatewayTarget]:
    """The targets of a list. Raises ConfigError; then none of them can be used."""
    data = parse_json5(text, "") if text.strip() else None
    if not isinstance(data, list):
        raise ConfigError("", ['is not a list: write [{"targets": ["http://10.0.0.1:18789"], "labels": {…}}]'])
    given = {name: getattr(defaults, name) for name in defaults.model_fields_set - {"url_match", "labels", "source"}}
    found: list[GatewayTarget] = []
    problems: list[str] = []
    for place, entry in _entries(data, problems):
        if len(found) >= MAX_TARGETS:
            raise ConfigError("", [f"has more than {MAX_TARGETS} targets"])
        try:
            found.append(_target(entry, defaults, given))
        except ValidationError as error:
            problems += [f"{place}: {sentence}" for sentence in _sentences(error)]
        except ValueError as error:
            problems.append(f"{place}: {error}")
    twice = [name for name, count in Counter(target.name for target in found).items() if count > 1]
    problems += [f"two are named {name}: give each its own name" for name in twice]
    if problems:
        more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
        raise ConfigError("", [one_line(problem) for problem in problems[:MAX_PROBLEMS]] + more)
    return found


def _entries(groups: list[Any], problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each target of the list as one object, with its place. Mistakes are added to ``problems``."""
    for number, group in enumerate(groups):
        place = f"[{number}]"
        if not isinstance(group, dict):
            problems.append(f"{place}: must be an object: {{ … }}")
            continue
        unknown = [key for key in group if key not in (*KEYS, "targets", "labels")]
        if unknown:
            allowed = ", ".join(KEYS)
            problems.append(f"{place}: {unknown[0][:40]!r}: a list may set {allowed} and labels, nothing else")
            continue
        labels = group.get("labels", {})
        if not isinstance(labels, dict):
            problems.append(f"{place}.labels: must be an object: {{ … }}")
            continue
        entry = {key: labels[key] for key in KEYS if key in labels} | {key: group[key] for key in KEYS if key in group}
        # As Prometheus does: what begins with two underscores is for its own relabelling.
        kept = {key: text for key, text in labels.items() if key not in KEYS and not key.startswith("__")}
        addresses = group.get("targets", [None])
        if not isinstance(addresses, list) or not all(isinstance(a, str) or a is None for a in addresses):
            problems.append(f'{place}.targets: must be a list of addresses, like ["http://10.0.0.1:18789"]')
            continue
        for address in addresses:
            yield place, {**_addressed(entry, address), "labels": kept}


def _addressed(entry: dict[str, Any], address: str | None) -> dict[str, Any]:
    """``entry`` with the url or the name that an address of Prometheus' format stands for."""
    if address is None:
        return entry
    if "url" in entry:
        return {"name": address, **entry}
    return {**entry, "url": address if "://" in address else f"http://{address}"}


def _target(entry: dict[str, Any], defaults: ListDefaults, given: Mapping[str, Any]) -> GatewayTarget:
    """Raises ValueError."""
    url, interval, agents = entry.get("url"), entry.get("interval"), entry.get("agents")
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise ValueError('url: write it like "http://10.0.0.1:18789", without user, query and fragment')
    if defaults.url_match is not None and not user_pattern(defaults.url_match).matches(url):
        why = f", which matches at most {MAX_LENGTH} characters" if len(url) > MAX_LENGTH else ""
        raise ValueError(f"url: {url[:100]} does not match url_match{why}")
    if interval is not None and not isinstance(interval, str):
        raise ValueError('interval: write a duration with its unit, like "5m"')
    if isinstance(agents, str) and agents != "all":
        entry = {**entry, "agents": [agent.strip() for agent in agents.split(",")]}
    name = entry.setdefault("name", _name_of(url))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("name: write 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and no '.' first")
    filled = {**given, **entry, "source": "gateway", "labels": {**defaults.labels, **entry["labels"]}}
    if defaults.token_file is not None:
        filled["token_file"] = defaults.token_file.replace("{name}", name)
    return GatewayTarget.model_validate(filled)


def _name_of(url: str) -> str:
    """The name of a target without one: its host and port."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", urlsplit(url).netloc).strip("-.")


def _sentences(error: ValidationError) -> list[str]:
    from exporter.config.mistakes import sentence  # imported only for an invalid list

    problems = ({**problem, "loc": ("targets", 0, "gateway", *problem["loc"])} for problem in error.errors())
    return [sentence(problem).removeprefix("targets[0].") for problem in problems]
