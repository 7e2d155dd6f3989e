"""Which commands each OpenClaw release has: the one place that decides how a remedy is spelled.

Tried on 2026.1.29, 2026.2.9, 2026.5.12, 2026.6.11 and 2026.9.6. Releases between them are taken to be like
the tried one before them, unless a change is known.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from exporter.model import Dialect
from exporter.model.release import FIRST_WITH_AGENT_OPTION, Release


class AgentOption(enum.Enum):
    """How a ``models auth`` command is told which agent it is for."""

    FOLDER = "OPENCLAW_AGENT_DIR"
    BEFORE = "models auth --agent A paste-token"
    AFTER = "models auth paste-token --agent A"


class EndOfDisable(enum.Enum):
    """What ends a disable, which outlives the credential that caused it."""

    TIME = "nothing but time"
    LOGIN = "models auth login, as soon as it asks for the secret"
    STORED_LOGIN = "models auth login, once the secret is stored"
    LOGOUT = "models auth logout, which removes the profile with it"


class CommandSet(NamedTuple):
    """The commands of a range of releases."""

    agent_option: AgentOption
    end_of_disable: EndOfDisable
    has_login: bool = True  # ``models auth login`` serves all providers; before, only those of plugins
    has_api_keys: bool = True  # ``models auth paste-api-key``
    login_takes_profile: bool = True  # ``models auth login --profile-id``
    copilot_takes_profile: bool = False  # ``models auth login-github-copilot --profile-id``
    status_takes_agent: bool = True  # ``models status --agent``
    inherits: bool = True  # an agent without a profile uses the shared one at run time
    echoes: bool = False  # ``paste-token`` prints what it reads


_2026_2 = CommandSet(
    agent_option=AgentOption.FOLDER,
    end_of_disable=EndOfDisable.TIME,
    has_login=False,
    has_api_keys=False,
    login_takes_profile=False,
    copilot_takes_profile=True,
    inherits=False,
    echoes=True,
)
_2026_1 = _2026_2._replace(status_takes_agent=False)
_2026_5 = CommandSet(
    agent_option=AgentOption.BEFORE,
    end_of_disable=EndOfDisable.LOGIN,
    has_api_keys=False,
    login_takes_profile=False,
    echoes=True,
)
_2026_6 = CommandSet(agent_option=AgentOption.BEFORE, end_of_disable=EndOfDisable.LOGIN)
_2026_8 = CommandSet(agent_option=AgentOption.AFTER, end_of_disable=EndOfDisable.STORED_LOGIN)
NEWEST = _2026_8._replace(end_of_disable=EndOfDisable.LOGOUT)

#: The first version of each range.
_RANGES = (
    (Release(2026, 9, 6), NEWEST),
    (Release(2026, 8, 0), _2026_8),
    (Release(2026, 6, 0), _2026_6),
    (Release(2026, 5, 0), _2026_5),
    (FIRST_WITH_AGENT_OPTION, _2026_2),
    (Release(0, 0, 0), _2026_1),
)
_OF_DIALECT = {Dialect.STATUS: _2026_2, Dialect.DATES: _2026_2, Dialect.LISTING: _2026_6}


def commands_of(version: str | None, dialect: Dialect) -> CommandSet:
    """The commands of the release ``version``; where that is unknown, of the likeliest that reports in ``dialect``."""
    release = Release.of(version)
    if release is not None:
        return next(found for first, found in _RANGES if release >= first)
    return _OF_DIALECT.get(dialect, NEWEST)
