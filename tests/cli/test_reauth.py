"""``reauth``: the command around the guide, which tests/reauth tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from command_line import run


def test_nothing_is_offered_if_nothing_is_wrong(configure: Callable[..., Path]) -> None:
    code, printed = run(configure("healthy"), "reauth")
    assert code == 0
    assert "No credential needs renewing." in printed


def test_without_a_terminal_the_exit_code_is_that_of_check(configure: Callable[..., Path]) -> None:
    assert run(configure("expired"), "reauth")[0] == run(configure("expired"), "check", "--quiet")[0] == 1


def test_an_unknown_name_is_answered_with_the_nearest_known(configure: Callable[..., Path]) -> None:
    code, printed = run(configure("expired"), "reauth", "--agent", "mainn")
    assert (code, "there is no agent named 'mainn'; did you mean 'main'?" in printed) == (64, True)
    code, printed = run(configure("expired"), "reauth", "--profile", "anthropic:defualt")
    assert (code, "did you mean 'anthropic:default'?" in printed) == (64, True)


def test_an_unknown_target_is_wrong_usage(configure: Callable[..., Path]) -> None:
    assert run(configure("healthy"), "reauth", "--target", "hme") == (
        64,
        "there is no target named 'hme'; did you mean 'home'?",
    )
