"""Helm, jsonnet and the compose specification as a program: reads a JSON request from standard input, prints JSON.

tests/real/test_deploy.py runs it with the Python that has them (``need("deploy")``), not with that of the tests.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def chart(request: dict[str, Any]) -> dict[str, Any]:
    """What ``helm lint`` and ``helm template`` say of ``chart`` with ``values``; ``error`` if they fail."""
    import helm_python as helm

    with helm.Chart.load(request["chart"]) as loaded:
        try:
            loaded.validate_schema(request["values"])
            files = loaded.render(request["values"], name=request["name"], namespace=request["namespace"])
        except helm.HelmError as error:
            return {"error": str(error)}
    return {"lint": helm.lint(request["chart"]), "files": files}


def snippet(request: dict[str, Any]) -> Any:
    """The value of a jsonnet snippet."""
    import _jsonnet

    return json.loads(_jsonnet.evaluate_snippet("snippet", request["snippet"]))


def compose(request: dict[str, Any]) -> dict[str, Any]:
    """A compose file as its specification reads it."""
    from compose_spec import PyCompose

    read = PyCompose.from_yaml(request["text"])
    read.validate()
    found: dict[str, Any] = read.to_dict()
    return found


if __name__ == "__main__":
    print(json.dumps({"chart": chart, "compose": compose, "jsonnet": snippet}[sys.argv[1]](json.load(sys.stdin))))
