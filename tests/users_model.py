"""What becomes of the lines of users, in plain Python: it imports nothing of the package."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Line = tuple[str, Sequence[str]]  # the ID, and the signals
OUTCOMES = ("written", "conflict", "several", "cut", "superseded", "repeated")
OLDEST = -(1 << 63)


@dataclass
class Model:
    """What is written for each user, in its order, and what became of rows and signals."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    outcomes: list[str] = field(default_factory=list)
    signals: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)  # that are written, of each user


def hash_of(text: str) -> int:
    """The hash that users are in the order of."""
    data, most = text.encode(), (1 << 64) - 1
    found = (len(data) + 1) * 0x9E3779B97F4A7C15 & most
    for place in range(0, len(data), 8):
        mixed = (found ^ int.from_bytes(data[place : place + 8], "little")) * 0x9E3779B97F4A7C15 & most
        found = mixed ^ (mixed >> 32)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        found = (found ^ (found >> 32)) * factor & most
    return found ^ (found >> 32)


def in_order(ids: set[str]) -> list[str]:
    """Users in the order in which they come out."""
    return sorted(ids, key=lambda id_: (hash_of(id_), id_.encode()))


def by_signals(
    rows: Sequence[Line],
    ranks: Sequence[int] | None = None,
    *,
    most_bytes: int,
    most_lines: int = 200,
    rejects_many: bool = False,
    lead: str = "",
) -> Model:
    """Gather the signals of each user."""
    model = Model()
    of_users: dict[str, dict[str, int]] = defaultdict(dict)  # the latest rank of each signal
    for number, (id_, signals) in enumerate(rows):
        for signal in signals:
            rank = ranks[number] if ranks else 0
            of_users[id_][signal] = max(of_users[id_].get(signal, OLDEST), rank)
    fates: dict[str, dict[str, str]] = {}
    for id_ in in_order(set(of_users)):
        latest = of_users[id_]
        fates[id_] = fate = {signal: _fate(signal, latest, ranks is not None, rejects_many) for signal in latest}
        lines: list[str] = []
        for signal in sorted(latest, key=str.encode):
            if fate[signal] != "written":
                continue
            longer = f"{lines[-1]},{signal}" if lines else ""
            if lines and len(longer.encode()) + 1 <= most_bytes:
                lines[-1] = longer
            elif len(lines) < most_lines:
                lines.append(f"{lead}{id_}\t{signal}")
            else:
                break
        written = {signal for line in lines for signal in _split(line.rpartition("\t")[2])}
        for signal in latest:
            if fate[signal] == "written" and signal not in written:
                fate[signal] = "cut"
        if lines:
            model.lines[id_] = lines
        model.signals.update(fate.values())
    model.signals["repeated"] = sum(len(signals) for _, signals in rows) - sum(map(len, fates.values()))
    for id_, signals in rows:
        model.outcomes.append(min((fates[id_][signal] for signal in signals), key=OUTCOMES.index))
        model.rows[id_] += model.outcomes[-1] == "written"
    return model


def _fate(signal: str, latest: Mapping[str, int], ordered: bool, rejects_many: bool) -> str:
    name, equals, value = signal.partition("=")
    if name in ("d_sid", "d_unsid") or not equals:
        trait = value if equals else signal
        opposites = [f"d_sid={trait}", trait] if name == "d_unsid" else [f"d_unsid={trait}"]
        other = max((latest[each] for each in opposites if each in latest), default=None)
        if other is None or other < latest[signal]:
            return "written"
        return "superseded" if other > latest[signal] else "conflict"
    if name == "ic":
        return "written"
    others = [each for each in latest if each.startswith(f"{name}=")]
    if ordered:
        return "written" if signal == max(others, key=lambda each: (latest[each], each.encode())) else "superseded"
    return "several" if rejects_many and len(others) > 1 else "written"


def _split(text: str) -> list[str]:
    found, quoted = [""], False
    for character in text:
        quoted ^= character == '"'
        if character == "," and not quoted:
            found.append("")
        else:
            found[-1] += character
    return found


def by_lines(rows: Sequence[Line], *, most_lines: int = 1 << 60, drops: bool = False, lead: str = "") -> Model:
    """Keep the lines of each user as they are."""
    model = Model(outcomes=["written"] * len(rows))
    seen: set[str] = set()
    made: dict[str, list[str]] = defaultdict(list)
    for number, (id_, signals) in enumerate(rows):
        line = f"{lead}{id_}\t{','.join(signals)}"
        if drops and line in seen:
            model.outcomes[number] = "repeated"
        elif len(made[id_]) == most_lines:
            model.outcomes[number] = "cut"
        else:
            made[id_].append(line)
        seen.add(line)
        model.signals[model.outcomes[number]] += len(signals)
        model.rows[id_] += model.outcomes[number] == "written"
    model.lines = {id_: made[id_] for id_ in in_order(set(made)) if made[id_]}
    return model
