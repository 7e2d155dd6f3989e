"""The kill run: a fleet whose exporters, Prometheus shards and Alertmanagers are killed while credentials expire.

Half of the gateways are probed: each of two shards keeps the targets of ``/sd`` that hash to its number and probes them
through an exporter of its own; rules raise their alerts. A shard is two Prometheus: one that is killed forgets what
fired, and Alertmanagers that are killed meanwhile forget it, too, so that nobody would be sent the end. The other half
is checked by both exporters, which share one ``name`` and each send their alerts to every Alertmanager. Both halves go
through one cluster of three.

Three killers, one for each kind of program, SIGKILL one of theirs at random and start it again with what it kept. In a
long run, a killer spares a Prometheus until its twin has caught up after its start, and an Alertmanager until the
others have: what they forget one after the other, nobody knows any more. ``HARSH`` does not wait for that.

Meanwhile tokens expire; whoever renews one does so some seconds after the alert about it has arrived.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from .fleet_parts import Arrival, Notifications, Part, alertmanagers, exporter, ports, prometheus
from .kill_run_forms import OWNER, Form, exporter_config, is_probed, name_of, routes, rules, scrape_config
from .simulated_gateways import Gateways

YEAR = 365 * 86400.0


@dataclass
class Trouble:
    """One token that expires. Times are Unix seconds."""

    gateway: int
    starts_at: float  # when it replaces the good one
    expires_at: float = 0.0
    arrived_at: float | None = None
    renew_at: float = 0.0
    renewed_at: float | None = None
    lost: bool = False

    @property
    def is_probed(self) -> bool:
        return is_probed(self.gateway)

    @property
    def target(self) -> str:
        return name_of(self.gateway)


@dataclass
class Result:
    """What a run counted."""

    form: Form
    seed: int
    troubles: Sequence[Trouble]
    kills: Mapping[str, int]
    notifications: int
    doubled: int  # notifications that say what the last one of their group said
    twins: int  # alerts of both exporters that Alertmanager did not take for one
    false_ends: int  # "resolved" although the token was still expired
    fired_again: Mapping[bool, int]  # "firing" after the end, of probed targets and of the others
    unresolved: Sequence[str]  # what still fires in an Alertmanager at the end, or is critical at a receiver
    silent_ends: int  # warnings whose end nobody was sent, because the critical alert that followed inhibits it
    strangers: Sequence[str]  # critical alerts of targets that have nothing
    unowned: int  # alerts about a target without its owner
    ends: Sequence[float]  # seconds from a renewal to the last "resolved"
    costs: Sequence[str]

    @property
    def delays(self) -> dict[bool, list[float]]:
        found: dict[bool, list[float]] = {True: [], False: []}
        for one in self.troubles:
            if one.arrived_at is not None:
                found[one.is_probed].append(one.arrived_at - one.expires_at)
        return found

    @property
    def lost(self) -> list[str]:
        return [one.target for one in self.troubles if one.lost]

    def __str__(self) -> str:
        lines = [
            f"{self.form.gateways} gateways, seed {self.seed}; killed and started again: "
            + ", ".join(f"{count} {kind}" for kind, count in self.kills.items())
        ]
        for from_rules, delays in self.delays.items():
            due = [one for one in self.troubles if one.is_probed is from_rules]
            limit = self.form.in_time[from_rules]
            lines.append(
                f"{'from rules' if from_rules else 'from the exporters'}: {len(due)} due, {len(delays)} arrived, "
                f"{sum(delay > limit for delay in delays)} late (after more than {limit:g} s), "
                f"{sum(one.lost for one in due)} lost; median {sorted(delays)[len(delays) // 2]:.1f} s, "
                f"longest {max(delays):.1f} s; "
                f"{self.fired_again[from_rules]} fired again after the end"
            )
        lines.append(
            f"{self.notifications} notifications, {self.doubled} of them doubled; {self.false_ends} ends that were "
            f"none; {len(self.unresolved)} unresolved; {self.silent_ends} warnings whose end was inhibited; "
            f"the longest end took {max(self.ends, default=0.0):.0f} s"
        )
        lines += [f"unresolved: {one}" for one in self.unresolved[:10]]
        return "\n".join([*lines, *self.costs])


# --- the run --------------------------------------------------------------------------------------


@dataclass
class Fleet:
    """Everything that runs."""

    gateways: Gateways
    kinds: dict[str, list[Part]]
    received: Notifications = field(default_factory=Notifications)

    @property
    def parts(self) -> list[Part]:
        return [part for parts in self.kinds.values() for part in parts]

    def may_be_killed(self, part: Part, form: Form) -> bool:
        """Whether those that know the same have caught up: its shard's other Prometheus, the other Alertmanagers."""
        kind, parts = next((kind, parts) for kind, parts in self.kinds.items() if part in parts)
        since = time.monotonic() - form.caught_up_after.get(kind, 0.0)
        others = [one for one in parts if one is not part and one.shard == part.shard]
        # None while it is down. Before the first kill, none has anything to catch up.
        return all(one.kills == 0 or (one.ready_at is not None and one.ready_at <= since) for one in others)

    def firing(self) -> set[str]:
        """What the Alertmanagers consider firing, about targets."""
        found = set()
        for part in self.kinds["alertmanager"]:
            for alert in httpx.get(f"{part.url}/api/v2/alerts?active=true", trust_env=False, timeout=60).json():
                if "target" in alert["labels"] or "instance" in alert["labels"]:
                    found.add(f"{part.name}: {alert['labels']}")
        return found


@contextmanager
def started(directory: Path, form: Form) -> Iterator[Fleet]:
    with ExitStack() as stack:
        received = Notifications()
        webhook = stack.enter_context(received.listening())
        gateways = Gateways(form.gateways)
        stack.callback(gateways.end)
        cluster = alertmanagers(directory, routes(webhook, form), 3, f"{form.peer_timeout}s")
        for part in cluster:
            stack.callback(part.end)
            part.start()
        urls = [part.url for part in cluster]
        targets = [f"http://127.0.0.1:{port}" for port in gateways.ports]
        config = exporter_config(directory, targets, urls, form)
        free = ports(12)[6:]
        exporters = [exporter(f"exporter-{n}", directory, free[n], config) for n in (0, 1)]
        (directory / "openclaw-auth.rules.yml").write_text(rules(form))
        shards: list[Part] = []
        for n, replica in ((0, "a"), (1, "a"), (0, "b"), (1, "b")):
            address = exporters[n].url.removeprefix("http://")
            scrapes = scrape_config(n, 2, address, [url.removeprefix("http://") for url in urls], form)
            shards.append(prometheus(f"prometheus-{n}{replica}", directory, free[2 + len(shards)], scrapes))
            shards[-1].shard = n
        for part in (*exporters, *shards):
            stack.callback(part.end)
            part.start()
        fleet = Fleet(gateways, {"exporter": exporters, "prometheus": shards, "alertmanager": cluster}, received)
        for part in fleet.parts:
            part.wait_until_ready()
        yield fleet


class Killers:
    """One thread for each kind of program, inside a ``with`` block."""

    def __init__(self, fleet: Fleet, form: Form, chance: random.Random) -> None:
        self._fleet, self._form = fleet, form
        self._over, self.errors = threading.Event(), list[BaseException]()
        self._threads = [
            threading.Thread(target=self._work, args=(parts, random.Random(chance.random())))
            for parts in fleet.kinds.values()
        ]

    def _work(self, parts: Sequence[Part], chance: random.Random) -> None:
        form, ends = self._form, time.monotonic() + self._form.kills_for
        try:
            for _ in range(form.kills):
                pause, part, down = chance.uniform(*form.between), chance.choice(parts), chance.uniform(*form.down)
                self._over.wait(pause)
                while not self._over.is_set() and not self._fleet.may_be_killed(part, form):
                    self._over.wait(0.5)
                if self._over.is_set() or time.monotonic() > ends:
                    return
                part.kill()
                self._over.wait(down)
                part.start()
                part.wait_until_ready()
        except BaseException as error:
            self.errors.append(error)

    @property
    def at_work(self) -> bool:
        if self.errors:
            raise self.errors[0]
        return any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Killers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def plan(form: Form, now: float, chance: random.Random) -> list[Trouble]:
    chosen = chance.sample(range(form.gateways), form.expiries)
    return [Trouble(gateway, now + chance.uniform(0, form.kills_for)) for gateway in chosen]


def run(directory: Path, form: Form, seed: int) -> Result:
    """Start the fleet, kill and renew until all is over, and count."""
    chance = random.Random(seed)
    with started(directory, form) as fleet:
        wait_until_all_are_seen(fleet, form)
        troubles = plan(form, time.time(), chance)
        with Killers(fleet, form, chance) as killers:
            while True:
                ages_and_renews(fleet, troubles, form, chance)
                if not killers.at_work and all(one.renewed_at is not None for one in troubles):
                    break
                time.sleep(0.2)
        ended = time.time()
        while time.time() < ended + form.patience and (fleet.firing() or still_firing(fleet.received)):
            time.sleep(0.5)
        time.sleep(2 * form.peer_timeout + 1)  # for what an instance that waits for its peers still sends
        for part in fleet.parts:
            part.measure()
        return counted(fleet, troubles, form, seed, directory)


def wait_until_all_are_seen(fleet: Fleet, form: Form) -> None:
    """Wait until each half of the gateways was checked, so that nothing is new when it expires."""
    ends = time.monotonic() + form.patience
    query = {"query": 'count(count by (target) (openclaw_auth_profile_info{job="openclaw_auth_probe"}))'}
    while time.monotonic() < ends:
        probed = 0
        for shard in fleet.kinds["prometheus"][:2]:
            answer = httpx.get(f"{shard.url}/api/v1/query", params=query, trust_env=False, timeout=60).json()
            probed += sum(int(one["value"][1]) for one in answer["data"]["result"])
        checked = [
            httpx.get(f"{one.url}/metrics", trust_env=False, timeout=60).text.count("\nopenclaw_auth_profile_info{")
            for one in fleet.kinds["exporter"]
        ]
        if probed == form.gateways // 2 and min(checked) >= form.gateways // 2:
            return
        time.sleep(1)
    raise AssertionError(f"not all gateways are seen: {probed} by Prometheus, {checked} by the exporters")


def ages_and_renews(fleet: Fleet, troubles: Sequence[Trouble], form: Form, chance: random.Random) -> None:
    """Do what is due now: replace tokens by ones that expire soon, and those that were notified about by good ones."""
    critical: dict[str, list[float]] = {}
    for arrival in fleet.received.so_far():
        if arrival.fires and arrival.severity == "critical":
            critical.setdefault(arrival.target, []).append(arrival.at)
    now = time.time()
    for one in troubles:
        if one.expires_at == 0.0 and now >= one.starts_at:
            lives = chance.uniform(1, 10)
            fleet.gateways.paste(one.gateway, lives)
            one.expires_at = time.time() + lives
        elif one.expires_at and one.arrived_at is None and not one.lost:
            one.arrived_at = next((at for at in critical.get(one.target, ()) if at >= one.expires_at), None)
            one.lost = one.arrived_at is None and now > one.expires_at + form.patience
            one.renew_at = now + chance.uniform(*form.renewed_after)
        elif one.expires_at and one.renewed_at is None and now >= one.renew_at:
            fleet.gateways.paste(one.gateway, YEAR)
            one.renewed_at = time.time()


# --- counting -------------------------------------------------------------------------------------


def still_firing(received: Notifications, severity: str = "critical") -> list[str]:
    """The groups whose last notification has something of this severity that fires."""
    with received.lock:
        return [group for group, said in received.last.items() if ("firing", severity) in said.values()]


def counted(fleet: Fleet, troubles: Sequence[Trouble], form: Form, seed: int, directory: Path) -> Result:
    arrivals = fleet.received.so_far()
    (directory / "arrivals.json").write_text(json.dumps([asdict(one) for one in arrivals], indent=0))
    false_ends, fired_again, ends = 0, {True: 0, False: 0}, []
    for one in troubles:
        assert one.renewed_at is not None
        mine = [arrival for arrival in arrivals if arrival.target == one.target and arrival.severity == "critical"]
        false, again, end = story(mine, one.renewed_at)
        false_ends += false
        fired_again[one.is_probed] += again
        ends += [end - one.renewed_at] if end is not None else []
    known = {one.target for one in troubles}
    strangers = [
        f"{arrival.alertname} {arrival.target}"
        for arrival in arrivals
        if arrival.target and arrival.target not in known and arrival.severity == "critical"
    ]
    costs = [
        f"{part.name}: {part.kills} kills, {part.cpu_seconds:.0f} s of CPU, {part.memory:.0f} MB at most"
        for part in fleet.parts
    ]
    unowned = sum(arrival.owner != OWNER for arrival in arrivals if arrival.target)
    unresolved = sorted({*still_firing(fleet.received), *fleet.firing()})
    kills = {kind: sum(part.kills for part in parts) for kind, parts in fleet.kinds.items()}
    got = fleet.received
    return Result(
        form=form,
        seed=seed,
        troubles=troubles,
        kills=kills,
        notifications=got.count,
        doubled=got.doubled,
        twins=got.twins,
        false_ends=false_ends,
        fired_again=fired_again,
        unresolved=unresolved,
        silent_ends=len(still_firing(got, "warning")),
        strangers=strangers,
        unowned=unowned,
        ends=ends,
        costs=costs,
    )


def story(arrivals: Sequence[Arrival], renewed_at: float) -> tuple[int, int, float | None]:
    """What was sent about one target: false ends, alerts after the end, and when the last end came."""
    firing: set[str] = set()
    false_ends = fired_again = 0
    end: float | None = None
    for arrival in arrivals:
        if arrival.fires:
            fired_again += not firing and end is not None and arrival.at > renewed_at
            firing.add(arrival.group)
        elif arrival.group in firing:
            firing.discard(arrival.group)
            if not firing:
                end = arrival.at
                false_ends += arrival.at < renewed_at
    return false_ends, fired_again, end
