"""Checks of one target: when they run, how many at a time, and the latest report of each."""
