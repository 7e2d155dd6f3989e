"""Keeps pydantic from searching for plugins: that imports importlib.metadata and email, and reads every package.

We have none, and a plugin of another package must not see a configuration, which holds secrets. The documented way, the
variable PYDANTIC_DISABLE_PLUGINS, imports the same and would reach every command that we start.
"""

from __future__ import annotations

import sys
from types import ModuleType

_LOADER = "pydantic.plugin._loader"


class _Loader(ModuleType):
    @staticmethod
    def get_plugins() -> tuple[()]:
        return ()


def disable_plugins() -> None:
    """To be called before the first model is defined. Does nothing where pydantic has searched already."""
    sys.modules.setdefault(_LOADER, _Loader(_LOADER))
