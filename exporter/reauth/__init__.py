"""``reauth``: the guided renewal of credentials, in a person's terminal or from the page.

It checks, lists what needs renewing, offers the commands step by step, checks again, and ends the alert.
``candidates``, ``plan`` and ``texts`` decide and are pure; ``steps`` runs the commands, ``guide`` leads
the conversation, and ``resolve`` informs the daemon or the channels.

A ``Screen`` is how a person takes part: ``terminal``, or for the page ``page_screen``, whose renewals ``renewals``
starts and ends. No secret passes through the process of the terminal; ``terminal`` says how. ``page_screen`` keeps one
in memory while its renewal runs.
"""
