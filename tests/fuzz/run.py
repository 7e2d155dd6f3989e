"""Lets atheris look for inputs that break a parser: ``run.py SECONDS [HARNESS...]``.

As many harnesses run at a time as there are processors. Each starts from its corpus, which it replays first. A crash is
left in ``tests/fuzz/crashes``, and the exit code is 1: mend it, and move the file into the corpus. Where atheris has no
wheel for this Python, only the corpus is replayed. ``OAE_FUZZ_SEED`` makes a search repeatable.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
CRASHES = HERE / "crashes"
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


def main(seconds: str, *names: str) -> int:
    sys.path.insert(0, str(HERE))
    from harnesses import HARNESSES, replay

    has_atheris = importlib.util.find_spec("atheris") is not None
    if not has_atheris:
        print("atheris is not installed for this Python: only the corpus is replayed")
        for name in names or HARNESSES:
            print(f"{name}: {replay(name)} inputs of the corpus")
        return 0
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as searches:
        for is_clean, line in searches.map(lambda name: search(name, seconds), names or HARNESSES):
            failed |= not is_clean
            print(line, flush=True)
    return failed


def search(name: str, seconds: str) -> tuple[bool, str]:
    """Fuzz one harness in a process of its own: whether it found no crash, and what to print."""
    with tempfile.TemporaryDirectory() as found:
        command = [sys.executable, str(Path(__file__)), "--one", name, seconds, found]
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace")
        kept = len(os.listdir(found))
    done = _DONE.search(ran.stderr)
    if ran.returncode or done is None:
        return False, f"{name}: FAILED\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}"
    return True, f"{name}: {int(done[1]):,} inputs in {done[2]} s, {kept} of them reached new code"


def one(name: str, seconds: str, found: str) -> None:
    """Fuzz one harness in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["exporter"]):
        sys.path.insert(0, str(HERE))
        from harnesses import HARNESSES
    from exporter.lib.known_secrets import KNOWN

    def run(data: bytes) -> None:
        HARNESSES[name](data)
        KNOWN.clear()

    CRASHES.mkdir(exist_ok=True)
    seed = os.environ.get("OAE_FUZZ_SEED", "0")
    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=16384", "-timeout=20", "-rss_limit_mb=2048"]
    corpus = [found, str(HERE / "corpus" / name)]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={CRASHES}/{name}-", *corpus], run)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(*sys.argv[2:])
    else:
        sys.exit(main(*sys.argv[1:]))
