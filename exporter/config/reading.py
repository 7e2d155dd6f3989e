"""Reads the configuration: finds the file, parses JSON5 into models, and reports mistakes as sentences.

No sentence contains a secret.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from exporter.config.models import Config, Web
from exporter.config.targets import FileLists, HttpList, ListDefaults
from exporter.config.values import WRITTEN, ConfigError, Model, WithSecrets, expand
from exporter.lib.files import MIB, TooLargeError, read_regular, text_of


def default_config_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The configuration file in effect without ``--config``. None if there is none."""
    named = environ.get("OPENCLAW_AUTH_EXPORTER_CONFIG")
    if named:
        return expand(named)
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    candidates = [Path(home) / "openclaw-auth-exporter/config.json5", Path("/etc/openclaw-auth-exporter/config.json5")]
    for directory in filter(None, environ.get("CONFIGURATION_DIRECTORY", "").split(":")):
        candidates.insert(0, Path(directory) / "config.json5")
    # A file that this user may not see is the last resort: reading it then reports why it cannot be read.
    found = {candidate: _exists(candidate) for candidate in candidates}
    return next((path for exists in (True, None) for path in candidates if found[path] is exists), None)


def _exists(path: Path) -> bool | None:
    """Whether the file exists. None if this user may not know."""
    try:
        path.stat()
    except PermissionError:
        return None
    except OSError:
        return False
    return True


def load(path: Path | None) -> Config:
    """The configuration in ``path``, or the defaults without a path. Raises ConfigError."""
    if path is None:
        return Config()
    config = parse(read_text(path, 16, "a configuration"), str(path))
    return _beside(config, path.parent) if config.targets_from else config


def _beside(config: Config, directory: Path) -> Config:
    """``config`` with the relative paths of its lists, and of their secrets, below ``directory``, as in Prometheus."""

    def below(path: str) -> str:
        return os.path.join(os.path.abspath(directory), os.path.expanduser(path))

    def entry(given: FileLists | HttpList) -> FileLists | HttpList:
        file = given.defaults.token_file
        # A bare name may be one of systemd's credentials.
        defaults = given.defaults.model_copy(update={"token_file": below(file)} if file and "/" in file else {})
        paths = {"paths": [below(path) for path in given.paths]} if isinstance(given, FileLists) else {}
        return given.model_copy(update={**paths, "defaults": defaults})

    return config.model_copy(update={"targets_from": [entry(given) for given in config.targets_from]})


def with_web(config: Config, changes: Mapping[str, Any]) -> Config:
    """``config`` with these keys of ``web``, which the command line gave. Raises ConfigError."""
    if not changes:
        return config
    try:
        web = Web.model_validate({**dict(config.web), **changes}, context=WRITTEN)
    except ValidationError as error:
        from exporter.config.mistakes import sentence

        raise ConfigError("web", [sentence(problem) for problem in error.errors()]) from None
    return config.model_copy(update={"web": web})


def read_text(path: Path, limit: int, role: str) -> str:
    """The text of a file of at most ``limit`` MiB that a person wrote as ``role``. Raises ConfigError."""
    try:
        return text_of(read_regular(path, limit * MIB))
    except TooLargeError:
        raise ConfigError(str(path), [f"is larger than {limit} MiB: it cannot be {role}"]) from None
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8 text (byte {error.start})"]) from None


def parse(text: str, where: str = "configuration") -> Config:
    """The configuration in JSON5 ``text``. Raises ConfigError, whose sentences begin with ``where``."""
    if not text.strip():
        raise ConfigError(where, ["is empty: write {} to use the defaults"])
    data = parse_json5(text, where)
    if not isinstance(data, dict):
        raise ConfigError(where, ["must be an object: { … }"])
    try:
        return Config.model_validate(data, context=WRITTEN)
    except ValidationError as error:
        from exporter.config.mistakes import sentence  # imported only for an invalid configuration

        raise ConfigError(where, [sentence(problem) for problem in error.errors()]) from None


def parse_json5(text: str, where: str) -> Any:
    """The value of JSON5 ``text``. Raises ConfigError with the place of the mistake, never with the text around it."""
    try:
        try:
            return json.loads(text, object_pairs_hook=_once_each)  # json5 needs a second for a thousand targets
        except json.JSONDecodeError:
            import json5

            return json5.loads(text, object_pairs_hook=_once_each)
    except RecursionError:
        raise ConfigError(where, ["is nested too deeply"]) from None
    except ValueError as error:
        found = re.search(r"(?s)<string>:(\d{1,9}) (.{0,200}?) at column (\d{1,9})", str(error))
        if found:
            # Report only the place: the text around it may be a secret.
            problem = re.sub(r'(?s)"."', "character", found[2])
            place = f"line {found[1]}, column {found[3]}: {problem}. A comma or a quote may be missing before it"
        else:
            place = str(error) if str(error).endswith(_TWICE) else "cannot be read"
        raise ConfigError(where, [f"is not JSON5: {place}"]) from None


_TWICE = "appears twice in one object"


def _once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    unique = dict(pairs)
    if len(unique) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice!r} {_TWICE}")
    return unique


def redacted(config: Config) -> dict[str, Any]:
    """The configuration as JSON values, with ``<secret>`` for every secret and for the user part of a URL."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, str):
            return re.sub(r"(?<=://)[^/?#]*@", "<secret>@", value)
        return "<secret>" if isinstance(value, SecretStr) else value

    result = clean(config.model_dump(by_alias=True))
    assert isinstance(result, dict)
    return result


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration."""
    return Config.model_json_schema(by_alias=True)


def unreadable_secrets(config: Config) -> list[str]:
    """A sentence for each secret that this process cannot read now. A service with another user may differ."""

    def problems(value: Any, place: str) -> Iterator[str]:
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from problems(item, f"{place}[{number}]")
        if not isinstance(value, Model) or isinstance(value, ListDefaults):  # those of lists are patterns
            return
        for name in type(value).model_fields:
            yield from problems(getattr(value, name), f"{place}.{name}" if place else name)
        if not isinstance(value, WithSecrets):
            return
        for name in value.secrets():
            try:
                value.read_secret(name)
            except ConfigError as error:
                yield f"{place}.{error}"

    return list(problems(config, ""))
