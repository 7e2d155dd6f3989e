"""Errors of the SQLite files in which the exporter keeps its state."""

from __future__ import annotations


class StateError(Exception):
    """A state file cannot be read or written. The message is a sentence for the user."""


class UnwritableError(StateError):
    """The disk is full, read-only or broken. What the file holds can still be read."""
