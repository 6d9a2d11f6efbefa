"""The quick way gives what the careful one gives, whatever was expected of the rows."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.job import Job
from converter.quick import Expected, Quick, spliced
from converter.records import Records

CHARACTERS = 'aB1| ,"\t\x01é@.:-0'
IDS = st.text(alphabet="aB10-", min_size=1, max_size=4) | st.text(alphabet=CHARACTERS, max_size=6)
VALUES = st.text(alphabet="aB1 é", max_size=4) | st.text(alphabet=CHARACTERS, max_size=4)
ITEMS = st.lists(st.sampled_from(["1", "22", "x-1", " 3", "", '"', "é"]), max_size=3).map("|".join)
ROWS = st.lists(st.tuples(IDS, VALUES, VALUES, ITEMS, ITEMS), min_size=1, max_size=12)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    signals: list[Any] = draw(st.lists(st.sampled_from(["a", "b", {"column": "a", "key": "again"}]), max_size=3))
    if draw(st.booleans()):
        signals.insert(draw(st.integers(0, len(signals))), {"key": "k", "value": "one, two"})
    return Job(
        input={"path": "in.csv"},
        id={
            "column": "id",
            "type": draw(st.sampled_from(["crm", "crm", "vizio", "maid", "uuid"])),
            "case": draw(st.sampled_from(["preserve", "lower", "upper"])),
            "trim": draw(st.booleans()),
        },
        record={
            "signals": signals,
            "traits": draw(st.sampled_from([["t"], ["t", 7], []])) if signals else ["t"],
            "integration_codes": draw(
                st.sampled_from([[], ["c"], [{"column": "c", "separator": "|"}, {"value": "z"}]])
            ),
            "comma": draw(st.sampled_from(["keep", "", ";"])),
            "on_bad_value": draw(st.sampled_from(["clean", "drop", "reject"])),
        },
        output={"to": "out", "dpid": 1234},
    )


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_lines_and_counts_are_those_of_the_careful_way(data: st.DataObject) -> None:
    rows = data.draw(ROWS)
    records = Records(data.draw(jobs()), data.draw(st.sampled_from([10_000, 40])))
    quick = Quick(records)
    frame = pl.DataFrame(rows, schema=["id", "a", "b", "t", "c"], orient="row")
    texts = records.texts(frame.lazy(), frame.schema, json_lists=False, nullable=False)
    careful = records.lines(texts).collect()
    expected_ledger = records.tally(careful)

    places = sorted(quick.places)
    expected = Expected(
        frozenset(data.draw(st.sets(st.sampled_from(places)))) if places else frozenset(), data.draw(st.booleans())
    )
    is_plain = not any(character in '"\t\x01' for row in rows for text in row for character in text)
    formatted = quick.lines(texts, expected).collect()
    sifted = quick.sift(formatted, expected, plain=is_plain and data.draw(st.booleans()))
    lines, ledger = formatted["line"], sifted.ledger
    if len(sifted.odd):
        judged = records.lines(formatted[sifted.odd].rechunk().lazy().select(records.place.values())).collect()
        lines = spliced(lines, sifted.odd, judged["line"])
        ledger += records.tally(judged)

    assert lines.to_list() == careful["line"].drop_nulls().to_list()
    assert ledger == expected_ledger


def test_rows_that_need_nothing_are_not_odd() -> None:
    records = Records(
        Job(
            input={"path": "in.csv"},
            id={"column": "id"},
            record={"signals": ["a", "b"], "traits": ["t"]},
            output={"to": "out", "dpid": 1234},
        ),
        10_000,
    )
    frame = pl.DataFrame({"id": ["U1", "U2"], "a": ["x", ""], "b": ["1,5", "é"], "t": ["1|2", ""]})
    texts = records.texts(frame.lazy(), frame.schema, json_lists=False, nullable=False)
    quick = Quick(records)
    expected = Expected(frozenset({1}))
    sifted = quick.sift(quick.lines(texts, expected).collect(), expected, plain=False)
    assert not len(sifted.odd)
    assert sifted.absent == {0, 2}
