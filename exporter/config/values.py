"""The types of configuration keys: durations, dates, names and secrets; and the error for an invalid configuration."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    SecretStr,
    Strict,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from exporter.config._no_plugins import disable_plugins
from exporter.lib.durations import format_duration, iso, parse_date, parse_duration
from exporter.lib.errors import ExpectedError
from exporter.lib.files import MIB, read_regular
from exporter.lib.known_secrets import KNOWN
from exporter.lib.names import nearest

disable_plugins()


class ConfigError(ExpectedError):
    """The configuration cannot be used. ``problems`` has a sentence for each mistake, without secrets.

    Without ``where`` the sentences name the place themselves.
    """

    exit_code = os.EX_CONFIG

    def __init__(self, where: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{where}: {problem}" if where else problem for problem in problems))
        self.where = where
        self.problems = problems


#: The validation context for text that a person wrote. A bare number there lacks its unit.
WRITTEN = {"written": True}


def _parsed(parse: Callable[[str], float], advice: str) -> BeforeValidator:
    def validate(value: object, info: ValidationInfo) -> float:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, float) and info.context != WRITTEN:
            return value  # parsed before
        raise ValueError(advice)

    return BeforeValidator(validate)


def _agents(value: object) -> object:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names) or (names == [value] and value != "all"):
        raise ValueError('write "all" or a list of agent ids, like ["main", "work"]')
    return value


Agents = Annotated[Literal["all"] | list[str], BeforeValidator(_agents)]
Duration = Annotated[
    float,
    _parsed(parse_duration, 'write a duration with its unit, like "90s", "5m", "24h" or "14d"'),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w|y))+$", "examples": ["5m"]}),
]
Date = Annotated[
    float,
    _parsed(parse_date, 'write a date like "2026-03-01" or "2026-03-01T12:00:00Z"'),
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2026-03-01", "2026-03-01T12:00:00Z"]}),
]


#: Strict, like the JSON Schema: text is neither a number nor a boolean.
def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        alike = nearest(value, available_timezones(), cutoff=0.7)
        advice = f"did you mean {alike!r}?" if alike else 'write one like "Europe/Stockholm"'
        raise ValueError(f"{value!r} is not a time zone: {advice}") from None
    return value


#: The name of a time zone; empty: a default.
Zone = Annotated[str, AfterValidator(lambda value: value and _zone(value))]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict()]
FilePath = Annotated[str, Field(min_length=1)]
Command = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
TargetName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/\x7f]+$")]

#: Facts that every alert has by these names: no label may have one.
RESERVED_LABELS = (
    *("agent", "alertname", "channel", "condition", "exporter", "family", "fingerprint", "profile", "provider"),
    *("reason", "severity", "target"),
)


def _labels(value: object) -> object:
    """A person's labels, as Prometheus could keep them."""
    for name, text in value.items() if isinstance(value, dict) else ():
        if not isinstance(name, str) or not re.fullmatch(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            raise ValueError("the name of a label has letters, digits and underscores, and does not begin with two")
        if name in RESERVED_LABELS:
            raise ValueError(f"no label may be named {name!r}: every alert has a fact of that name")
        if not isinstance(text, str) or len(text) > 200 or not text.isprintable():
            raise ValueError(f"{name}: write text of at most 200 printable characters")
    return value


Labels = Annotated[dict[str, str], BeforeValidator(_labels)]

#: Labels that series have, or get from Prometheus and the shipped scrape jobs, beside RESERVED_LABELS: no label of a
#: person's may take their place.
METRIC_LABELS = (
    *("basis", "instance", "job", "kind", "le", "quantile", "refreshable", "source", "status", "task", "version"),
    "window",
)
#: The most labels of a person's that series may have.
MAX_METRIC_LABELS = 8


def _metric_labels(value: object) -> object:
    """The names of labels that the series of targets have, too."""
    names = value if isinstance(value, list | tuple) else ()
    for name in names:
        if name in METRIC_LABELS or name in RESERVED_LABELS:
            raise ValueError(f"{name!r} cannot be added to metrics: they, or Prometheus, have a label of that name")
        _labels({name: ""})
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is there twice: write it once")
    if len(names) > MAX_METRIC_LABELS:
        raise ValueError(f"write at most {MAX_METRIC_LABELS} labels: each is repeated in every series")
    return value


MetricLabels = Annotated[tuple[str, ...], BeforeValidator(_metric_labels)]

#: The facts of an alert that a channel can match on, beside labels.
MATCHED_FACTS = ("target", "agent", "provider", "profile", "condition")


def _match(value: object) -> object:
    """Regular expressions by the names of facts and labels."""
    for name, expression in value.items() if isinstance(value, dict) else ():
        if name not in MATCHED_FACTS:
            _labels({name: ""})
        if not isinstance(expression, str):
            raise ValueError(f'{name}: write a regular expression, like "anthropic|openai"')
        regular_expression(expression, f"{name}: ")
    return value


def regular_expression(value: str, place: str = "") -> str:
    """``value`` if it is one that takes little time, whatever the text is. Raises ValueError."""
    from exporter.lib.user_pattern import user_pattern  # imported only where there is one

    try:
        user_pattern(value)
    except ValueError as error:
        raise ValueError(f"{place}{error}") from None
    return value


Match = Annotated[dict[str, str], BeforeValidator(_match)]


class Model(BaseModel):
    """A part of the configuration. pydantic builds its validator at the first value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class Lazily:
    """Beside the type of a key: its validator is built at the first value, not with that of the whole configuration.

    Most commands run often, with a configuration of few keys: they do not pay for the others. ``type`` is the key's
    type if it is annotated itself.
    """

    def __init__(self, type: Any = None) -> None:
        self._type = type

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        self._type = self._type or source

        def validate(value: Any, info: ValidationInfo) -> Any:
            return self._adapter.validate_python(value, context=info.context)

        return core_schema.with_info_plain_validator_function(validate)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return handler(self._adapter.core_schema)

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._type)


class WithSecrets(Model):
    """A part of the configuration with secrets: each has at most one of ``NAME``, ``NAME_file`` and ``NAME_env``."""

    #: The secrets that must be configured.
    NEEDS: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def secrets(cls) -> list[str]:
        """The names of the secrets."""
        return [name.removesuffix("_env") for name in cls.model_fields if name.endswith("_env")]

    @model_validator(mode="after")
    def _one_of_each_secret(self) -> Self:
        for name in self.secrets():
            keys = self.given_keys(name)
            if len(keys) > 1:
                raise ValueError(f"{' and '.join(keys)} are both set: keep one")
            if not keys and name in self.NEEDS:
                raise ValueError(f"{name} is missing: write {name}, {name}_file or {name}_env")
        return self

    def given_keys(self, name: str) -> list[str]:
        """The keys that say what the secret ``name`` is."""
        return [key for key in (name, f"{name}_file", f"{name}_env") if getattr(self, key)]

    def read_secret(self, name: str) -> str | None:
        """The value of the secret ``name``: from the key itself, or from its ``_file`` or ``_env``.

        Every call reads it again, so that a rotated file takes effect. From then on, no text repeats it. Raises
        ConfigError if the file cannot be read or the variable is not set.
        """
        value = self._secret(name)
        if value:
            KNOWN.add(value)
        return value

    def _secret(self, name: str) -> str | None:
        plain, file, variable = (getattr(self, name + end) for end in ("", "_file", "_env"))
        if file:
            try:
                return read_regular(find_credential(file), MIB).decode().strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ConfigError(f"{name}_file", [f"{file}: {why}"]) from None
        if variable:
            if variable not in os.environ:
                raise ConfigError(f"{name}_env", [f"the environment variable {variable} is not set"])
            return os.environ[variable].strip()
        return None if plain is None else str(plain.get_secret_value())


class WithUrl(WithSecrets):
    """A URL that may contain a secret. Required unless the subclass has other ``NEEDS``."""

    NEEDS = ("url",)

    url: SecretStr | None = None
    url_file: FilePath | None = None
    url_env: str | None = None


class WithToken(WithSecrets):
    """An optional token."""

    token: SecretStr | None = None
    token_file: FilePath | None = None
    token_env: str | None = None


def expand(path: str) -> Path:
    """A path with ``~`` expanded."""
    return Path(os.path.expanduser(path))


def find_credential(path: str) -> Path:
    """The file of a secret. A bare name is searched first in systemd's CREDENTIALS_DIRECTORY."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and "/" not in path and (Path(directory) / path).exists():
        return Path(directory) / path
    return expand(path)
