"""The options whose costs are measured: what each adds to the job of a workload, and what it does to a row.

Light, as `workloads`: processes that are measured import this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.workloads import DPID, PLAIN, WORKLOADS, Input

Row = Mapping[str, str]
PAD = 30
_DPID_OF_OTHERS = 5678


@dataclass(frozen=True)
class Option:
    """Settings beside those of the plain job.

    `sections` are added to those of the job; `None` removes one. `workload` is what the job reads. `goal` is the
    highest ratio to the plain job that we want, in CPU seconds; 0 if there is none. `change` says in plain Python what
    happens to a row: the reference whose lines must be equal. `columns` are the columns of lines that only have IDs.
    `beside` is a second input that the job reads. `remembers`: the job keeps something of each row in memory.
    """

    sections: Mapping[str, Mapping[str, object] | None] = field(default_factory=dict)
    workload: str = PLAIN
    goal: float = 1.3
    change: Callable[[Row], Row] = lambda row: row
    columns: tuple[str, ...] = ()
    beside: Input | None = None
    remembers: bool = False


def _of_ids(change: Callable[[str], str]) -> Callable[[Row], Row]:
    return lambda row: {**row, "crm_id": change(row["crm_id"])}


def _of_values(change: Callable[[str], str]) -> Callable[[Row], Row]:
    return lambda row: {name: text if name == "crm_id" else change(text) for name, text in row.items()}


def _sha256(text: str) -> str:
    import hashlib  # here: no other option needs it

    return hashlib.sha256(text.encode()).hexdigest()


def _all(row: Row) -> Row:
    row = _DROP.change(_NULLS.change(_COMMA.change(row)))
    text = row["crm_id"].removeprefix("U").removesuffix("7").replace("0", "").replace("3", "")
    return _HASH.change({**row, "crm_id": f"crm-{text.zfill(PAD).lower()}-web"})


_COMMA = Option({"record": {"comma": " "}}, change=_of_values(lambda text: text.replace(",", " ")))
_NULLS = Option(
    {"input": {"null_values": ["NULL", "other"]}},
    change=_of_values(lambda text: "" if text in ("NULL", "other") else text),
)
_DROP = Option(
    {"record": {"on_bad_value": "drop"}}, "quoted", change=_of_values(lambda text: "" if '"' in text else text)
)
_HASH = Option({"id": {"hash": "sha256"}}, goal=1.8, change=_of_ids(_sha256))
_ID: dict[str, object] = {
    "pad": PAD,
    "remove": "03",
    "cut_prefix": "U",
    "cut_suffix": "7",
    "prefix": "crm-",
    "suffix": "-web",
    "case": "lower",
}
_SUPPRESSED = Input(WORKLOADS[PLAIN], rows=1_000_000, seed=2)  # other users: what is written stays the same
BASE = "plain"
OPTIONS = {
    BASE: Option(goal=0),
    "pad": Option({"id": {"pad": PAD}}, change=_of_ids(lambda text: text.rjust(PAD, "0"))),
    "remove": Option(
        {"id": {"remove": _ID["remove"]}}, change=_of_ids(lambda text: text.replace("0", "").replace("3", ""))
    ),
    "cut_prefix": Option({"id": {"cut_prefix": "U"}}, change=_of_ids(lambda text: text.removeprefix("U"))),
    "cut_suffix": Option({"id": {"cut_suffix": "7"}}, change=_of_ids(lambda text: text.removesuffix("7"))),
    "prefix": Option({"id": {"prefix": "crm-"}}, change=_of_ids(lambda text: "crm-" + text)),
    "suffix": Option({"id": {"suffix": "-web"}}, change=_of_ids(lambda text: text + "-web")),
    "case": Option({"id": {"case": "lower"}}, change=_of_ids(str.lower)),
    "null_values": _NULLS,
    "comma": _COMMA,
    "quoted": Option(workload="quoted"),
    "drop": _DROP,
    "escape": Option({"input": {"escape": "backslash"}}, goal=1.5),
    "escape-quoted": Option({"input": {"escape": "backslash"}}, "quoted", goal=1.5),
    "comment": Option({"input": {"comment": "#"}}, goal=1.5),
    "skip_spaces": Option({"input": {"skip_spaces": True}}, goal=1.5),
    "any_id": Option({"id": {"implausible": "allow"}}, goal=0),
    "filter": Option({"input": {"filter": "crm_id <> ''"}}, goal=1.5),
    "computed": Option(
        {"input": {"computed": [{"name": "plan", "sql": "upper(plan)"}]}},
        goal=1.5,
        change=lambda row: {**row, "plan": row["plan"].upper()},
    ),
    "suppress": Option(
        {"input": {"suppress": {"path": str(_SUPPRESSED.path), "column": "crm_id"}}}, goal=1.5, beside=_SUPPRESSED
    ),
    "auto": Option(
        {
            "id": {"type": "auto"},
            "output": {"dpid": None, "route": {"crm": DPID, "gaid": {"target": DPID}, "idfa": {"target": DPID}}},
        }
    ),
    "id-sync": Option(
        {
            "id": None,
            "record": None,
            "sync": {
                "columns": [{"column": "crm_id", "dpid": DPID}, {"column": "trait_ids", "dpid": _DPID_OF_OTHERS}],
                "allow_customer_master": True,
            },
            "output": {"dpid": None, "kind": "id-sync"},
        },
        columns=("crm_id", "trait_ids"),
    ),
    "case_collisions": Option({"id": {"case_collisions": "report"}}, goal=1.8),
    "user_lines": Option({"record": {"user_lines": "enforce"}}, goal=1.8, remembers=True),
    "repeated": Option({"record": {"repeated": "drop"}}, goal=1.8, remembers=True),
    "hash": _HASH,
    "all": Option(
        {
            "input": _NULLS.sections["input"],
            "id": {**_ID, "case_collisions": "report", "hash": "sha256"},
            "record": {"comma": " ", "on_bad_value": "drop"},
        },
        "quoted",
        goal=0,
        change=_all,
    ),
}
"""The plain job, each option alone, and all that go together, by name."""
