"""Reading a configuration: JSON5 in, models out, and sentences a person can act on for what is wrong.

``load`` is the only way in. Secrets never get into a problem's sentence.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from exporter.config.models import Config
from exporter.config.values import WRITTEN, ConfigError, Model, expand


def default_config_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The configuration file in effect without ``--config``, or None when there is none."""
    named = environ.get("OPENCLAW_AUTH_EXPORTER_CONFIG")
    if named:
        return expand(named)
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    candidates = [Path(home) / "openclaw-auth-exporter/config.json5", Path("/etc/openclaw-auth-exporter/config.json5")]
    for directory in filter(None, environ.get("CONFIGURATION_DIRECTORY", "").split(":")):
        candidates.insert(0, Path(directory) / "config.json5")
    # One that may be there but may not be looked at is the last resort: reading it then says why.
    there = {candidate: _is_there(candidate) for candidate in candidates}
    return next((one for is_there in (True, None) for one in candidates if there[one] is is_there), None)


def _is_there(path: Path) -> bool | None:
    """None where this user may not know."""
    try:
        path.stat()
    except PermissionError:
        return None
    except OSError:
        return False
    return True


def default_state_dir(config: Config, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the ledger lives: the configuration's, systemd's, or ``~/.local/state``."""
    if config.state_dir:
        return expand(config.state_dir)
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "openclaw-auth-exporter"


MAX_CONFIG_BYTES = 16 * 1024 * 1024


def load(path: Path | None) -> Config:
    """The configuration in ``path``; the defaults when it is None. Raises ConfigError."""
    if path is None:
        return Config()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(str(path), ["is larger than 16 MiB: this is no configuration"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8 text (byte {error.start})"]) from None
    return parse(text, str(path))


def parse(text: str, where: str = "configuration") -> Config:
    """The configuration in JSON5 ``text``. Raises ConfigError; ``where`` is its first word."""
    if not text.strip():
        raise ConfigError(where, ["is empty: write {} for a configuration of defaults"])
    try:
        data = _parse_json5(text)
    except ValueError as error:
        raise ConfigError(where, [f"is not JSON5: {error}"]) from None
    except RecursionError:
        raise ConfigError(where, ["is nested too deeply"]) from None
    if not isinstance(data, dict):
        raise ConfigError(where, ["must be an object: { … }"])
    try:
        return Config.model_validate(data, context=WRITTEN)
    except ValidationError as error:
        from exporter.config.mistakes import sentence  # the good case does without

        raise ConfigError(where, [sentence(problem) for problem in error.errors()]) from None


def _parse_json5(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once_each)  # json5 takes a second for a thousand targets
    except json.JSONDecodeError:
        import json5

        try:
            return json5.loads(text, object_pairs_hook=_once_each)
        except ValueError as error:
            found = re.search(r"<string>:(\d+) (.*?) at column (\d+)", str(error))
            if found:
                # Only the place: the text around it may be a secret.
                what = re.sub(r'"(\\.|[^"])*"', "character", found[2])
                raise ValueError(f"line {found[1]}, column {found[3]}: {what}") from None
            raise ValueError(str(error) if str(error).endswith(_TWICE) else "cannot be read") from None


_TWICE = "is there twice in one object"


def _once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} {_TWICE}")
    return made


def redacted(config: Config) -> dict[str, Any]:
    """The whole configuration as JSON can hold it, every secret replaced by ``<secret>``, a URL's user part too."""

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
    """Secrets that this process could not read now, as sentences; the service may see another world."""

    def problems(value: Any, place: str) -> Iterator[str]:
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from problems(item, f"{place}[{number}]")
        if not isinstance(value, Model):
            return
        for name in type(value).model_fields:
            yield from problems(getattr(value, name), f"{place}.{name}" if place else name)
        for name in value.secrets():
            try:
                value.secret(name)
            except ConfigError as error:
                yield f"{place}.{error}"

    return list(problems(config, ""))
