"""A real daemon under attack: 60 of 60 scrapes succeed, whatever hostile clients do meanwhile. Loopback only.

``OAE_ATTACKS=all`` attacks for longer.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

SCRAPES = 1200 if os.environ.get("OAE_ATTACKS") == "all" else 60
HOST = "127.0.0.1"
TOKEN = "the-right-token"
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


FALSE = {"source": "openclaw", "command": ["false"]}


class Daemon:
    """A running daemon, and whoever talks to it."""

    def __init__(
        self,
        folder: Path,
        descriptors: int,
        keys: str = "",
        tls: ssl.SSLContext | None = None,
        target: Mapping[str, object] = FALSE,
    ) -> None:
        self.log, self.tls = folder / "log", tls
        config = folder / "config.json5"
        (folder / "token").write_text(TOKEN)
        config.write_text(
            f"{{ targets: [{json.dumps({'name': 'home', **target})}], state_dir: '{folder}/state',"
            f" web: {{ listen: '{HOST}:0', token_file: '{folder}/token', {keys} }} }}"
        )

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "exporter.cli", "--config", str(config), "serve"],
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(folder)},
                preexec_fn=limited,
            )
        self.address = (HOST, 0)

    async def listen(self) -> None:
        async with asyncio.timeout(60):
            while not (found := re.search(rf"https?://{HOST}:(\d+)", self.log.read_text())):
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)
        self.address = (HOST, int(found[1]))

    async def connect(self, source: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        local = (source, 0) if source else None
        return await asyncio.open_connection(*self.address, ssl=self.tls, local_addr=local)

    async def ask(self, request: bytes, source: str | None = None) -> int:
        """The status of the answer."""
        async with asyncio.timeout(10):
            reader, writer = await self.connect(source)
            try:
                writer.write(request + b"Connection: close\r\n\r\n")
                return int((await reader.read()).split(b" ", 2)[1])
            finally:
                writer.close()

    async def scrapes(self, extra: bytes = b"") -> list[int]:
        """The statuses of SCRAPES scrapes, 0 for each that failed: in turn on a new connection and on one that stays.

        As Prometheus does, a request on a connection that was closed meanwhile is sent again on a new one.
        """
        statuses: list[int] = []
        kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number in range(SCRAPES):
            status = 0
            with contextlib.suppress(OSError, IndexError, asyncio.IncompleteReadError):
                if number % 2:
                    status = await self.ask(GET + extra)
                else:
                    try:
                        status = await self._ask_on(kept, extra) if kept else 0
                    except (ConnectionError, asyncio.IncompleteReadError):
                        if kept:
                            kept[1].close()
                        kept = None
                    if kept is None:
                        kept = await self.connect()
                        status = await self._ask_on(kept, extra)
            statuses.append(status)
            await asyncio.sleep(0.05)
        if kept:
            kept[1].close()
        return statuses

    @staticmethod
    async def _ask_on(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], extra: bytes) -> int:
        reader, writer = streams
        async with asyncio.timeout(10):
            writer.write(GET + extra + b"\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            return int(head.split(b" ", 2)[1])


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Enough for a thousand attackers in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    descriptors: int = 1024,
    keys: str = "",
    tls: ssl.SSLContext | None = None,
    target: Mapping[str, object] = FALSE,
) -> AsyncIterator[Daemon]:
    daemon = Daemon(folder, descriptors, keys, tls, target)
    try:
        await daemon.listen()
        yield daemon
        assert daemon.process.poll() is None
        daemon.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(daemon.process.wait, 30) == 0
    finally:
        daemon.process.kill()
        daemon.process.wait()


@contextlib.asynccontextmanager
async def under_attack(count: int, attack: Callable[[int], Awaitable[None]]) -> AsyncIterator[None]:
    """``count`` attackers, each of which begins again five seconds after it was cut off."""

    async def persist(number: int) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError, IndexError):
                await attack(number)
            await asyncio.sleep(5)

    attackers = [asyncio.create_task(persist(number)) for number in range(count)]
    await asyncio.sleep(1)
    try:
        yield
    finally:
        for attacker in attackers:
            attacker.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)


def hold(daemon: Daemon, first: bytes, then: bytes = b"", reads: bool = True) -> Callable[[int], Awaitable[None]]:
    """An attacker that sends ``first``, then ``then`` again and again, until it is cut off."""

    async def attack(number: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            if not reads:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(sock, daemon.address)
            await loop.sock_sendall(sock, first)
            while then:
                await asyncio.sleep(2)
                await loop.sock_sendall(sock, then)
            if not reads:
                await asyncio.sleep(3600)
            while await loop.sock_recv(sock, 65536):
                pass

    return attack


BODY = b"POST /api/v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
PROBE = b"GET /probe?target=home HTTP/1.1\r\nHost: localhost\r\n\r\n"
ATTACKS = {
    "clients that send nothing": (1000, b"", b"", True),
    "bodies that do not end": (1000, BODY + b"x", b"", True),
    "bodies in drips": (1000, BODY, b"x", True),
    "headers in drips": (1000, b"GET / HTTP/1.1\r\n", b"X: y\r\n", True),
    "idle clients": (1000, GET + b"\r\n", b"", True),
    "probes": (1000, PROBE, PROBE, True),
    "answers that are not read": (1000, (GET + b"\r\n") * 300, b"", False),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_every_scrape_succeeds_under_attack(attack: str, tmp_path: Path) -> None:
    count, first, then, reads = ATTACKS[attack]
    async with running(tmp_path) as daemon:
        async with under_attack(count, hold(daemon, first, then, reads)):
            statuses = await daemon.scrapes()
        assert statuses == [200] * SCRAPES
        assert len(daemon.log.read_text().splitlines()) < 50


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
async def test_every_scrape_succeeds_while_handshakes_do_not_end(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    words = (
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        *names,
    )
    making = await asyncio.create_subprocess_exec("openssl", *words, "-keyout", key, "-out", cert, stderr=-3)
    assert await making.wait() == 0
    trusts = ssl.create_default_context(cafile=str(cert))
    async with running(tmp_path, keys=f"tls: {{ cert_file: '{cert}', key_file: '{key}' }}", tls=trusts) as daemon:
        async with under_attack(1000, hold(daemon, b"\x16\x03\x01")):
            statuses = await daemon.scrapes()
        assert statuses == [200] * SCRAPES


async def test_every_scrape_succeeds_with_40_descriptors_and_60_idle_clients(tmp_path: Path) -> None:
    async with running(tmp_path, descriptors=40) as daemon:
        async with under_attack(60, hold(daemon, b"")):
            statuses = await daemon.scrapes()
        assert statuses == [200] * SCRAPES
        assert len(daemon.log.read_text().splitlines()) < 50


async def test_wrong_tokens_from_200_addresses_refuse_no_right_one(tmp_path: Path) -> None:
    reload = b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer %s\r\n"
    wrong: list[int] = []
    async with running(tmp_path) as daemon:

        async def guess(number: int) -> None:
            wrong.append(await daemon.ask(reload % b"wrong-%d" % number, f"127.0.1.{number + 1}"))

        async with under_attack(200, guess):
            statuses = await daemon.scrapes()
            for source in (None, "127.0.1.1"):
                assert await daemon.ask(reload % TOKEN.encode(), source) == 200
        assert statuses == [200] * SCRAPES
        assert wrong.count(401) <= 110
        assert len(wrong) >= 200
        assert set(wrong) == {401, 429}


@pytest.mark.parametrize("addresses", [1, 200])
async def test_300_wrong_passwords_delay_no_right_one(addresses: int, tmp_path: Path) -> None:
    bcrypt = pytest.importorskip("bcrypt", reason="the extra users is not installed")
    users = tmp_path / "users"
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(11)).decode()
    users.write_text(f"prometheus:{hashed}\nalice:{hashed}\n")

    def basic(user: str, password: str) -> bytes:
        return b"Authorization: Basic %s\r\n" % base64.b64encode(f"{user}:{password}".encode())

    async with running(tmp_path, keys=f"users_file: '{users}'") as daemon:
        assert await daemon.ask(GET + basic("prometheus", "right")) == 200

        async def guess(number: int) -> None:
            password = f"wrong-{number}-{time.monotonic()}"
            await daemon.ask(GET + basic("alice", password), f"127.0.1.{number % addresses + 1}")

        async with under_attack(300, guess):
            statuses = await daemon.scrapes(basic("prometheus", "right"))
        assert statuses == [200] * SCRAPES
        # In the middle of a crowd, and from its address: nobody has signed in as alice before. As Retry-After asks, a
        # client tries again after a second.
        crowd = [asyncio.create_task(guess(number)) for number in range(300)]
        statuses = []
        while 200 not in statuses and len(statuses) < 5:
            statuses.append(await daemon.ask(GET + basic("alice", "right"), "127.0.1.1"))
            await asyncio.sleep(1 if statuses[-1] == 429 else 0)
        assert statuses[-1] == 200
        await asyncio.gather(*crowd, return_exceptions=True)


# --- what the exporter reads is hostile --------------------------------------------------------

CHECK = b"POST /api/v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer %s\r\n"
RELOAD = CHECK.replace(b"/api/v1/check", b"/-/reload")


def stored(folder: Path, profiles: Mapping[str, object]) -> dict[str, object]:
    """A target whose store has these profiles."""
    state = folder / "openclaw"
    store = state / "agents" / "main" / "agent" / "auth-profiles.json"
    store.parent.mkdir(parents=True)
    store.write_text(json.dumps({"version": 1, "profiles": profiles}))
    return {"source": "store", "state_dir": str(state), "timeout": "20s"}


def profile(provider: str = "anthropic") -> dict[str, object]:
    return {"type": "token", "provider": provider, "token": "made-up", "expires": (time.time() + 1e6) * 1000}


async def is_scraped_while_it_is_asked(daemon: Daemon, asked: list[bytes], times: int = 1) -> None:
    """60 of 60 scrapes, while others ask for each of these, again and again."""

    async def ask(number: int) -> None:
        await daemon.ask(asked[number % len(asked)])

    async with under_attack(len(asked) * times, ask):
        statuses = await daemon.scrapes()
    assert statuses == [200] * SCRAPES


@pytest.mark.parametrize("text", ["a" * 65_536, "a." * 32_768, "password" * 8192, "\x1b[31m" * 13_000])
async def test_every_scrape_succeeds_while_a_command_prints_hostile_text(text: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(text)
    command = ["/bin/sh", "-c", f"cat '{tmp_path}/text' >&2; exit 1", "sh"]
    async with running(tmp_path, target={"source": "openclaw", "command": command}) as daemon:
        await is_scraped_while_it_is_asked(daemon, [CHECK % TOKEN.encode(), PROBE.removesuffix(b"\r\n")])


async def test_every_scrape_succeeds_while_pipes_are_where_files_should_be(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("A=b")
    async with running(tmp_path, target={**FALSE, "env_file": str(env_file)}) as daemon:
        for file in (env_file, tmp_path / "token"):
            file.unlink()
            os.mkfifo(file)
        daemon.process.send_signal(signal.SIGHUP)
        asked = [CHECK % TOKEN.encode(), RELOAD % TOKEN.encode(), PROBE.removesuffix(b"\r\n")]
        await is_scraped_while_it_is_asked(daemon, asked)


async def test_every_scrape_succeeds_while_another_process_holds_the_state(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        held = [sqlite3.connect(file, isolation_level=None) for file in (tmp_path / "state").glob("*.sqlite")]
        assert held
        for file in held:
            file.execute("BEGIN IMMEDIATE")
        await is_scraped_while_it_is_asked(daemon, [CHECK % TOKEN.encode(), PROBE.removesuffix(b"\r\n")])
        for file in held:
            file.close()


@pytest.mark.parametrize("many", [True, False])
async def test_every_scrape_succeeds_with_10000_profiles_or_ids_of_a_megabyte(many: bool, tmp_path: Path) -> None:
    names = [f"anthropic:{n}" for n in range(10_000)] if many else [f"anthropic:{n}{'x' * 1_000_000}" for n in range(8)]
    target = stored(tmp_path, {name: profile() for name in names})
    pages = [
        b"GET %s HTTP/1.1\r\nHost: localhost\r\n" % path for path in (b"/probe?target=home", b"/", b"/api/v1/status")
    ]
    async with running(tmp_path, target=target) as daemon:
        assert await daemon.ask(CHECK % TOKEN.encode()) == 200
        reader, writer = await daemon.connect()
        writer.write(GET + b"Connection: close\r\n\r\n")
        assert (await reader.read()).count(b"\nopenclaw_auth_profile_status{") >= len(names)
        writer.close()
        await is_scraped_while_it_is_asked(daemon, [CHECK % TOKEN.encode(), *pages])
