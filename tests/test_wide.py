"""Jobs with many columns: nothing counts them in a byte."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from converter import Job
from converter.errors import JobError
from converter.spec import rules

from .conftest import Run
from .test_kinds import GAID, convert, sync_job


def columns_of(count: int, devices: int = 1) -> list[dict[str, Any]]:
    """So many columns of an ID synchronization file, those of devices first, all of different data sources."""
    return [
        {"column": f"c{number}", "type": "gaid" if number < devices else "crm", "dpid": number + 1}
        for number in range(count)
    ]


def row_of(count: int, devices: int = 1, **changed: str) -> str:
    ids = {f"c{number}": GAID if number < devices else f"u{number}" for number in range(count)} | changed
    return ",".join(ids.values()) + "\n"


@pytest.mark.parametrize("count", [26, 40, 60])
def test_c14_a_file_of_many_columns_is_judged_by_the_rules_of_each(run: Run, count: int) -> None:
    last = f"c{count - 1}"
    changed = [{}, {last: "u:1"}, {last: ""}, {last: "joe@example.com"}, {last: "a%20b"}, {"c0": "x"}, {"c1": "v"}]
    content = ",".join(f"c{number}" for number in range(count)) + "\n"
    report = convert(run, content + "".join(row_of(count, **each) for each in changed), columns=columns_of(count))
    assert run.lines == [row_of(count, **each).strip().replace(",", "\t") for each in (changed[0], changed[-1])]
    names = ["id_forbidden_character", "id_missing", "id_is_email", "id_encoded", "id_wrong_form"]
    assert [(row["row"], row["rule"]) for row in run.rejects] == list(zip(range(3, 8), names, strict=True))
    assert report.records["rejected"] == dict.fromkeys(sorted(names), 1)


@pytest.mark.parametrize("count", [100, 300])
def test_more_columns_than_a_name_has_room_for_are_refused_before_anything_is_begun(run: Run, count: int) -> None:
    with pytest.raises(JobError) as raised:
        Job(**sync_job(run, columns=columns_of(count)))
    assert (raised.value.code, raised.value.exit_code) == ("E-JOB-INVALID", 2)
    assert "fewer columns" in raised.value.message
    assert run.files == []


def test_the_longest_names_fit_into_a_folder(run: Run) -> None:
    count = 60
    for digits in range(2, 200):
        columns = columns_of(count)
        columns[-1]["dpid"] = 10**digits
        try:
            job = Job(**sync_job(run, columns=columns))
        except JobError:
            break
    assert len(job.names(0)[0].stem) == 207
    columns[-1]["dpid"] = 10 ** (digits - 1)
    content = ",".join(f"c{number}" for number in range(count)) + "\n" + row_of(count)
    assert convert(run, content, columns=columns).outcome == "done"


def test_i5_many_pairs_of_columns_are_counted_apart(run: Run) -> None:
    devices, count = 17, 34  # 289 pairs
    content = ",".join(f"c{number}" for number in range(count)) + "\n"
    content += "".join(row_of(count, devices, c33=f"v{number}") for number in range(11))
    report = convert(run, content, columns=columns_of(count, devices))
    assert report.records["written"] == 11
    # One device ID stands in each of the columns of devices, and has eleven customer IDs in one of the others.
    assert report.ids["over_limit"] == {"device_over_limit": devices}


@pytest.mark.parametrize("count", [2, 255, 256, 257, 3000])
def test_the_first_of_any_number_of_rules_is_the_reason(count: int) -> None:
    asked = [rules.Rule("X", f"rule{place}", "", "", pl.col("n") == place) for place in range(count)]
    asked[0] = asked[0]._replace(applies=None)
    places = sorted({0, 1, count // 2, count - 1})
    reasons = pl.DataFrame({"n": places}).select(rules.first_reason(asked, 7)).to_series().to_list()
    assert reasons == [place + 7 if 0 < place < count else None for place in places]
    both = [rules.Rule("X", "a", "", "", pl.lit(value=True)), *asked]
    assert pl.DataFrame({"n": [count - 1]}).select(rules.first_reason(both)).item() == 0
