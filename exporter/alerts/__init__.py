"""Alerts: a pure lifecycle, an outbox that survives, and workers that deliver.

``lifecycle`` decides (pure), ``outbox`` remembers (SQLite), ``delivery`` sends (asyncio), ``text``
says it to people, ``channels`` know one service each.
"""
