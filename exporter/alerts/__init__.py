"""Alerts: from Reports to notifications that arrive.

``lifecycle`` decides what to send (pure), ``message`` puts it into words, ``delivery`` stores and
sends it, ``channels`` know one service each.
"""
