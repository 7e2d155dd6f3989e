"""The base class of failures that are not bugs: the user can read what happened and act."""

from __future__ import annotations

import os
from typing import ClassVar


class ExpectedError(Exception):
    """An expected failure. Its message is a sentence for the user: what, where, what to do; never a secret.

    The command line prints the message and exits with ``exit_code``. Any other exception is an internal error.
    """

    #: From sysexits.h: the service, the network or the disk does not provide what is needed.
    exit_code: ClassVar[int] = os.EX_UNAVAILABLE
