"""Reading a configuration: JSON5 in, models out, and sentences a person can act on for what is wrong.

``load`` is the only way in. Secrets never get into a problem's sentence.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from exporter.config.models import Config, ConfigError, expand


def default_config_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The configuration file in effect without ``--config``, or None when there is none."""
    named = environ.get("OPENCLAW_AUTH_EXPORTER_CONFIG")
    if named:
        return expand(named)
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    candidates = [Path(home) / "openclaw-auth-exporter/config.json5", Path("/etc/openclaw-auth-exporter/config.json5")]
    for directory in filter(None, environ.get("CONFIGURATION_DIRECTORY", "").split(":")):
        candidates.insert(0, Path(directory) / "config.json5")
    return next((candidate for candidate in candidates if candidate.exists()), None)


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
    try:
        data = _parse_json5(text)
    except ValueError as error:
        raise ConfigError(where, [f"is not JSON5: {error}"]) from None
    except RecursionError:
        raise ConfigError(where, ["is nested too deeply"]) from None
    if not isinstance(data, dict):
        raise ConfigError(where, ["must be an object: { … }"])
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(where, [_sentence(problem, data) for problem in error.errors()]) from None


def _parse_json5(text: str) -> Any:
    try:
        return json.loads(text)  # json5 takes a second for a thousand targets
    except ValueError:
        import json5

        try:
            return json5.loads(text, allow_duplicate_keys=False)
        except ValueError as error:
            found = re.search(r"<string>:(\d+) (.*?) at column (\d+)", str(error))
            if found:
                # Only the place: the text around it may be a secret.
                what = re.sub(r'"(\\.|[^"])*"', "character", found[2])
                raise ValueError(f"line {found[1]}, column {found[3]}: {what}") from None
            raise ValueError("a key is there twice" if "Duplicate key" in str(error) else "cannot be read") from None


def _sentence(problem: Any, data: Any) -> str:
    """One pydantic error as a sentence with the key's place, and the nearest known key."""
    location = list(problem["loc"])
    place, model = _walk(location)
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = set(_field_names(model)) if model else set()
        return f"{place}: unknown key{_nearest(str(location[-1]), known)}"
    if kind == "union_tag_invalid":
        tags = re.findall(r"'(\w+)'", problem["ctx"]["expected_tags"])
        key = problem["ctx"]["discriminator"].strip("'").replace("_source_of()", "source")
        return f"{place}.{key}: unknown {key}; there are {', '.join(sorted(set(tags) - {'simulated'}))}"
    if kind == "union_tag_not_found":
        return f"{place}: type is missing"
    if kind == "missing":
        return f"{place}: is missing"
    return f"{place}: {message[0].lower()}{message[1:]}" if place else message


def _field_names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _walk(location: list[Any]) -> tuple[str, type[BaseModel] | None]:
    """The readable place of a pydantic location, and the model its last key belongs to."""
    place, model, annotation = "", None, Config
    current: Any = annotation
    for step in location:
        models = _models_in(current)
        if isinstance(step, int):
            place += f"[{step}]"
            current = models or current
            continue
        tagged = [m for m in models if _tag_of(m) == step and len(models) > 1]
        if tagged:
            current = tagged[0]
            continue
        place += f".{step}" if place else str(step)
        model = models[0] if len(models) == 1 else None
        fields = {info.alias or name: info for m in models for name, info in m.model_fields.items()}
        current = fields[step].annotation if step in fields else current
    return re.sub(r"\.(literal\['all'\]|list\[.*|function-.*|constrained-str)$", "", place), model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, list):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _tag_of(model: type[BaseModel]) -> str | None:
    for name in ("source", "type"):
        if name in model.model_fields:
            return str(get_args(model.model_fields[name].annotation)[0])
    return None


def _nearest(word: str, known: set[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else (f"; known are {', '.join(sorted(known))}" if known else "")


def redacted(config: Config) -> dict[str, Any]:
    """The whole configuration as JSON can hold it, every secret replaced by ``<secret>``."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [clean(item) for item in value]
        return "<secret>" if isinstance(value, SecretStr) else value

    result = clean(config.model_dump(by_alias=True))
    assert isinstance(result, dict)
    return result


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration."""
    return Config.model_json_schema(by_alias=True)
