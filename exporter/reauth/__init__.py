"""``reauth``: the way back to health, in the person's own terminal.

It shows what needs a person, offers the commands that mend it, hands them the terminal, looks whether it
worked and ends the alert. ``needs`` and ``plan`` decide and are pure, ``guide`` talks, ``terminal`` runs
what it is told to, ``aftermath`` tells who tells of alerts.

No secret passes through this process: how that is done with what is pasted is told in ``terminal``.
"""
