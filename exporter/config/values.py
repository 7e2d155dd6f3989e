"""The types of configuration keys: durations, dates, names and secrets; and the error for an invalid configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from exporter.lib.durations import format_duration, iso, parse_date, parse_duration
from exporter.lib.errors import ExpectedError


class ConfigError(ExpectedError):
    """The configuration cannot be used. ``problems`` has a sentence for each mistake, without secrets."""

    def __init__(self, where: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{where}: {problem}" for problem in problems))
        self.where = where
        self.problems = problems


#: The validation context for text that a person wrote. A bare number there lacks its unit.
WRITTEN = {"written": True}


def _duration(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, float) and info.context != WRITTEN:
        return value  # parsed before
    raise ValueError('write a duration with its unit, like "90s", "5m", "24h" or "14d"')


def _date(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_date(value)
    if isinstance(value, float) and info.context != WRITTEN:
        return value  # parsed before
    raise ValueError('write a date like "2026-03-01" or "2026-03-01T12:00:00Z"')


def _agents(value: object) -> object:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names) or (names == [value] and value != "all"):
        raise ValueError('write "all" or a list of agent ids, like ["main", "work"]')
    return value


Agents = Annotated[Literal["all"] | list[str], BeforeValidator(_agents)]
Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w|y))+$", "examples": ["5m"]}),
]
Date = Annotated[
    float,
    BeforeValidator(_date),
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2026-03-01", "2026-03-01T12:00:00Z"]}),
]
#: Strict, like the JSON Schema: text is neither a number nor a boolean.
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict()]
FilePath = Annotated[str, Field(min_length=1)]
Command = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
TargetName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/\x7f]+$")]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def secret(self, name: str) -> str | None:
        """The value of the secret ``name``: from the key itself, or from its ``_file`` or ``_env``.

        Every call reads it again, so that a rotated file takes effect. Raises ConfigError if the file cannot be read or
        the variable is not set.
        """
        # A field named `secret` is called `secret_`, because this method has its name.
        plain = self.__dict__.get(name, self.__dict__.get(f"{name}_"))
        if plain:
            return str(plain.get_secret_value())
        file, variable = getattr(self, f"{name}_file", None), getattr(self, f"{name}_env", None)
        if file:
            path = find_credential(file)
            try:
                return path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ConfigError(f"{name}_file", [f"{file}: {why}"]) from None
        if variable:
            if variable not in os.environ:
                raise ConfigError(f"{name}_env", [f"the environment variable {variable} is not set"])
            return os.environ[variable].strip()
        return None if plain is None else ""

    @classmethod
    def secrets(cls) -> list[str]:
        """The names of the secrets: keys that a file or an environment variable can supply."""
        return [name.removesuffix("_env") for name in cls.model_fields if name.endswith("_env")]

    def has_secret(self, name: str) -> bool:
        """Whether the secret ``name`` is configured in one of its ways."""
        return any(self.__dict__.get(f"{name}{tail}") for tail in ("", "_", "_file", "_env"))


def _one_of_each_secret(model: Model) -> Model:
    for name in model.secrets():
        values = model.__dict__  # where a field named `secret` is called `secret_`
        keys = [key for key in (name, f"{name}_file", f"{name}_env") if values.get(key) or values.get(f"{key}_")]
        if len(keys) > 1:
            raise ValueError(f"{' and '.join(keys)} are both set: keep one")
    return model


def _required_secrets(model: WithSecrets) -> WithSecrets:
    for name in model.NEEDS:
        if not model.has_secret(name):
            raise ValueError(f"{name} is missing: write {name}, {name}_file or {name}_env")
    return model


class WithSecrets(Model):
    """A part of the configuration with secrets. Each secret has at most one source."""

    #: The secrets that must be configured.
    NEEDS: ClassVar[tuple[str, ...]] = ()

    _once = model_validator(mode="after")(_one_of_each_secret)
    _all = model_validator(mode="after")(_required_secrets)


def expand(path: str) -> Path:
    """A path with ``~`` expanded."""
    return Path(os.path.expanduser(path))


def find_credential(path: str) -> Path:
    """The file of a secret. A bare name is searched first in systemd's CREDENTIALS_DIRECTORY."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and "/" not in path and (Path(directory) / path).exists():
        return Path(directory) / path
    return expand(path)
