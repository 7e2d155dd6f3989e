"""``reauth``: the guided renewal of credentials in a person's terminal.

It checks, lists what needs renewing, offers the commands step by step, checks again, and ends the alert.
``candidates``, ``plan`` and ``texts`` decide and are pure; ``steps`` runs the commands, ``guide`` leads
the conversation, ``terminal`` is the screen, and ``resolve`` informs the daemon or the channels.

No secret passes through this process; ``terminal`` says how.
"""
