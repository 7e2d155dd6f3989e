"""Which connection makes room for a new one. Pure: no sockets, and time is a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.connections import FEWEST, MOST, PATIENCE, Connections, Phase, limit

phases = st.sampled_from(Phase)
#: What happens in a crowd: seconds that pass, who does something, and the phase it enters.
steps = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), phases), max_size=50)


def expected_to_end(model: dict[int, tuple[Phase, float]], now: float) -> set[int]:
    """The same choice, by looking at everybody: those that could be chosen."""
    waiting = (Phase.REQUEST, Phase.READING)
    late = {key: since for key, (phase, since) in model.items() if phase in waiting and now - since > PATIENCE}
    if late:
        return {key for key, since in late.items() if since == min(late.values())}
    crowd = {phase: [key for key, (other, _) in model.items() if other is phase] for phase in Phase}
    largest = [keys for keys in crowd.values() if keys and len(keys) == max(map(len, crowd.values()))]
    return {key for keys in largest for key in keys if model[key][1] == min(model[other][1] for other in keys)}


@given(steps)
def test_the_choice_is_that_of_looking_at_everybody(happenings: list[tuple[float, int, Phase]]) -> None:
    connections: Connections[int] = Connections()
    model: dict[int, tuple[Phase, float]] = {}
    now = 0.0
    for seconds, key, phase in happenings:
        now += seconds
        if key not in model:
            connections.add(key, now)
            model[key] = (Phase.REQUEST, now)
        elif key == 0:
            connections.remove(key)
            del model[key]
        else:
            connections.move(key, phase, now)
            model[key] = model[key] if model[key][0] is phase else (phase, now)
        chosen = connections.to_end(now)
        expected: set[int | None] = {*expected_to_end(model, now)}
        assert chosen in (expected or {None})
        overdue = {key for key, (phase, since) in model.items() if phase.value and now - since > phase.value}
        assert set(connections.overdue(now)) == overdue
        assert len(connections) == len(model)


@given(st.integers(FEWEST, 32), st.lists(phases, min_size=1, max_size=150), phases)
def test_no_crowd_pushes_out_who_is_quicker_than_a_quarter_of_it(most: int, crowd: list[Phase], where: Phase) -> None:
    """However hostile clients behave, an honest one stays for as long as fewer than ``most / 4`` come after it."""
    connections: Connections[str] = Connections()

    def arrive(name: str, phase: Phase) -> None:
        connections.add(name, 0.0)
        connections.move(name, phase, 0.0)
        while len(connections) > most:
            connections.remove(connections.to_end(0.0) or "")

    for number, phase in enumerate(crowd):
        arrive(f"before-{number}", phase)
    arrive("honest", where)
    for number in range((most - 1) // 4):
        arrive(f"after-{number}", crowd[number % len(crowd)])
    assert "honest" in connections


def test_whoever_has_sent_an_unfinished_request_longest_makes_room_first() -> None:
    connections: Connections[str] = Connections()
    for number in range(60):
        connections.add(f"idle-{number}", 0.0)
        connections.move(f"idle-{number}", Phase.IDLE, 1.0)
    for number in range(40):
        connections.add(f"hostile-{number}", 2.0 + number / 100)
    for number in range(40):
        assert connections.to_end(10.0) == f"hostile-{number}"
        connections.remove(f"hostile-{number}")
    assert connections.to_end(10.0) == "idle-0"


def test_a_request_takes_its_time_as_a_whole() -> None:
    connections: Connections[str] = Connections()
    connections.add("drips", 0.0)
    for second in range(15):
        connections.move("drips", Phase.REQUEST, float(second))  # another byte
    assert connections.overdue(15.0) == []
    assert connections.overdue(15.1) == ["drips"]
    connections.move("drips", Phase.ANSWER, 15.1)
    assert connections.overdue(1e9) == []  # the exporter's own work is not limited here


def test_the_limit_leaves_descriptors_for_everything_else() -> None:
    assert limit(40, 16) == 12
    assert limit(1024, 30) == 497
    assert limit(1 << 20, 30) == MOST
    assert limit(20, 30) == FEWEST
