"""``push``: one check, pushed to a Pushgateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run

from exporter.metrics import push


def test_the_group_and_the_metrics_of_one_check_are_pushed(
    configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[tuple[str, str, str, bytes]] = []
    monkeypatch.setattr(push, "push_to", lambda *group: pushed.append(group))
    words = ("push", "--url", "http://push.example:9091", "--instance", "rack7")
    assert run(configure("expired"), *words) == (0, "")
    ((url, job, instance, text),) = pushed
    assert (url, job, instance) == ("http://push.example:9091", "openclaw-auth-exporter", "rack7")
    assert b'openclaw_auth_exit_code{agent="main",target="home"} 1' in text


def test_a_gateway_that_cannot_be_reached_is_an_error_sentence(configure: Callable[..., Path]) -> None:
    code, printed = run(configure("healthy"), "push", "--url", "http://127.0.0.1:1")
    assert code == 69
    assert "the Pushgateway http://127.0.0.1:1 cannot be reached" in printed


@pytest.mark.parametrize(("asked", "shown"), [(["owner"], b'{agent="main",owner="ops",target="home"}'), ([], b"")])
def test_labels_of_targets_are_pushed_where_asked(
    asked: list[str], shown: bytes, configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[bytes] = []
    monkeypatch.setattr(push, "push_to", lambda *group: pushed.append(group[-1]))
    target = {"name": "home", "source": "simulated", "scenario": "expired", "labels": {"owner": "ops"}}
    file = configure("expired", targets=[target], web={"metric_labels": asked})
    assert run(file, "push", "--url", "http://push.example:9091") == (0, "")
    assert shown in pushed[0]
    assert (b"owner=" in pushed[0]) is bool(asked)
