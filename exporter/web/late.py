"""Imports the modules of the HTML pages late, in a thread: a daemon whose pages nobody opens does without them."""

from __future__ import annotations

import asyncio
import importlib
import sys


async def load(module: str) -> None:
    """Import ``module`` unless it is imported: the pages need Jinja2, which is many files and some 25 ms of CPU."""
    if module not in sys.modules:
        await asyncio.to_thread(importlib.import_module, module)
