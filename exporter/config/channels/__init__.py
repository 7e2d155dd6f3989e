"""The notification channels of a configuration: one module per channel type, named after the type.

A module defines one subclass of ``ChannelBase``. It is found by its file name and imported only when a
configuration has channels, because most commands run often and need none.
"""

from __future__ import annotations

import functools
import importlib
import operator
import pkgutil
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
from pydantic_core import core_schema

from exporter.config.values import Match, Model, TargetName, WithSecrets, Zone

_TIME_OF_DAY = r"^([01]\d|2[0-3]):[0-5]\d$"


class QuietHours(Model):
    from_: Annotated[str, Field(alias="from", pattern=_TIME_OF_DAY, examples=["22:00"])]
    to: Annotated[str, Field(pattern=_TIME_OF_DAY, examples=["07:00"])]
    timezone: Zone = Field("", description="default: the timezone at the top of the configuration")
    except_: Annotated[Literal["critical", "warning"] | None, Field(alias="except")] = None

    def zone(self, default: ZoneInfo) -> ZoneInfo:
        """The time zone of these hours and of the channel's messages."""
        return ZoneInfo(self.timezone) if self.timezone else default


class ChannelBase(WithSecrets):
    """What every channel has. ``type`` is the name of the channel's module, here and in ``alerts.channels``."""

    #: Whether the channel is notified of changes. Alertmanager is not: it wants the state, and decides itself.
    NOTIFIED: ClassVar[bool] = True
    #: Whether a program reads the messages, which then wants every end at once.
    FOR_MACHINES: ClassVar[bool] = False
    #: Whether a notification can be taken away again.
    CAN_WITHDRAW: ClassVar[bool] = False

    name: TargetName
    min_severity: Literal["info", "warning", "critical"] = "info"
    match: Match = Field({}, description="regular expressions that an alert's facts and labels must match as a whole")
    quiet_hours: QuietHours | None = None
    type: str


def channel_types() -> list[str]:
    """The types of channels there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


@functools.cache
def channel_models() -> tuple[type[ChannelBase], ...]:
    """The model of each channel type, in the order of ``channel_types``."""
    modules = [importlib.import_module(f"{__name__}.{name}") for name in channel_types()]
    return tuple(
        next(found for found in vars(module).values() if _is_model(found) and found.__module__ == module.__name__)
        for module in modules
    )


def _is_model(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, ChannelBase)


@functools.cache
def _union() -> TypeAdapter[ChannelBase]:
    union: Any = functools.reduce(operator.or_, channel_models())
    return TypeAdapter(Annotated[union, Field(discriminator="type")])


class _AnyChannel:
    """Makes pydantic validate a value as one of ``channel_models``, which it imports at the first value."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def validate(value: Any, info: ValidationInfo) -> ChannelBase:
            return _union().validate_python(value, context=info.context)

        return core_schema.with_info_plain_validator_function(validate)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return handler(_union().core_schema)


if TYPE_CHECKING:
    Channel = ChannelBase
else:
    Channel = Annotated[ChannelBase, _AnyChannel]
