"""The base class of failures that are not bugs: the user can read what happened and act."""

from __future__ import annotations


class ExpectedError(Exception):
    """An expected failure. Its message is a sentence for the user: what, where, what to do; never a secret.

    The command line prints the message and exits with a code of its own. Any other exception is an internal error.
    """
