"""Kinds of files beside data files: their names, their lines, and the rows that they refuse."""

from __future__ import annotations

import re
from typing import Any

import pytest

from converter import Job
from converter.errors import GuardError, JobError
from converter.report.terminal import summary

from .conftest import TIMESTAMP, Run
from .errors import check_named, codes_of, raises

UUID_1, UUID_2 = "1" * 38, "2" * 38
GAID = "0f8fad5b-d9cb-469f-a165-70867728950e"
HASH = "55e79200c1635b37ad31a378c39feb12f120f116625093a19bc32fff15041149"
PAIRS = [{"column": "aam", "type": "uuid"}, {"column": "crm", "dpid": 1234}]


def sync_job(at: Run, kind: str = "id-sync", columns: Any = PAIRS, **changes: Any) -> dict[str, Any]:
    """A job for a synchronization file."""
    job = {key: value for key, value in at.job.items() if key not in ("id", "record")}
    output = {key: value for key, value in job["output"].items() if key != "dpid"}
    return {**job, "output": {**output, "kind": kind}, "sync": {"columns": columns}, **changes}


def convert(at: Run, content: str, **changes: Any) -> Any:
    from converter import convert as convert_

    at.write(content)
    return convert_(Job(**sync_job(at, **changes)))


def test_n6_a_synchronization_file_has_all_data_sources_in_its_name(run: Run) -> None:
    columns = [*PAIRS, {"column": "ad", "type": "gaid"}, {"column": "mail", "type": "hashed_email", "dpid": 77}]
    convert(run, f"crm,aam,ad,mail\nuser-1,{UUID_1},{GAID.upper()},{HASH.upper()}\n", columns=columns)
    assert run.files == [f"adobe_id_0_1234_20914_77_{TIMESTAMP}.sync.1.gz"]
    assert run.lines == [f"{UUID_1}\tuser-1\t{GAID}\t{HASH}"]


def test_c14_columns_come_in_the_order_of_the_job_and_rows_in_that_of_the_input(run: Run) -> None:
    report = convert(run, f"crm,x,aam\nb,1,{UUID_2}\n a ,2,{UUID_1}\nb,3,{UUID_2}\n")
    assert run.lines == [f"{UUID_2}\tb", f"{UUID_1}\ta", f"{UUID_2}\tb"]
    assert report.ids == {"changed": {"trim": 1}}
    assert report.signals["written"] == 0


def test_c14_rows_that_would_not_be_processed_are_rejected_by_rule(run: Run) -> None:
    rows = [
        f"good,{UUID_1}",
        f",{UUID_1}",
        "nobody,",
        f"a%40b,{UUID_1}",
        f"joe@example.com,{UUID_1}",
        f"{HASH}:,{UUID_1}",
        "short,123",
        f"space ,{UUID_1}",
        f"4111 1111 1111 1111,{UUID_1}",
    ]
    columns = [PAIRS[0], {**PAIRS[1], "trim": False}]
    report = convert(run, "crm,aam\n" + "\n".join(rows) + "\n", columns=columns)
    assert run.lines == [f"{UUID_1}\tgood"]
    assert report.records["rejected"] == {
        "id_missing": 2,
        "id_encoded": 1,
        "id_is_email": 1,
        "id_forbidden_character": 1,
        "id_wrong_form": 1,
        "id_ends_in_space": 1,
        "id_is_card": 1,
    }
    assert all(set(row["columns"]) == {"aam", "crm"} for row in run.rejects)


def test_each_column_is_normalized_by_its_own_steps(run: Run) -> None:
    columns = [
        {"column": "ad", "type": "idfa"},
        {"column": "crm", "dpid": 7, "cut_prefix": "X-", "pad": 6, "prefix": "c"},
        {"column": "mail", "dpid": 8, "type": "hashed_email", "hash": "sha256"},
    ]
    report = convert(run, f"ad,crm,mail\n{GAID},X-12,JohnDoe@Example.com \n{GAID},12, {HASH}\n", columns=columns)
    assert run.files == [f"adobe_id_20915_7_8_{TIMESTAMP}.sync.1.gz"]
    assert run.lines == [f"{GAID.upper()}\tc000012\t{HASH}"] * 2
    assert report.ids["changed"] == {"trim": 2, "cut_prefix": 1, "pad": 2, "case": 3, "prefix": 2, "hash": 1}


ODC = {"id": {"type": "idfa"}, "output": {"kind": "odc", "dpid": 20915, "target": 5}}


def test_c13_lines_for_oracle_data_cloud_begin_with_the_type_and_hold_bare_traits(run: Run) -> None:
    run.job["record"] = {"traits": ["t", 38838], "signals": ["a"]}
    run.convert(f"id,a,t\n{GAID},x,1|22\n{GAID},,\n", **ODC)
    assert run.files == [f"ftp_dpm_odc_20915_5_{TIMESTAMP}.sync.1.gz"]
    assert run.lines == [f'idfa\t{GAID.upper()}\t"a"="x",1,22,38838', f"idfa\t{GAID.upper()}\t38838"]


def test_c13_the_type_of_android_ids_is_gaid_unless_another_word_is_given(run: Run) -> None:
    run.convert(f"id,a\n{GAID},x\n", id={"type": "gaid"}, output={"kind": "odc", "dpid": 20914, "target": 5})
    assert run.lines == [f'gaid\t{GAID}\t"a"="x"']


def test_c13_another_word_for_the_type(run: Run) -> None:
    output = {"kind": "odc", "dpid": 20914, "target": 5, "odc_type": "android"}
    run.convert(f"id,a\n{GAID},x\n", id={"type": "gaid"}, output=output)
    assert run.lines == [f'android\t{GAID}\t"a"="x"']


def test_n7_an_overwrite_file_for_oracle_data_cloud(run: Run) -> None:
    run.convert(f"id,a\n{GAID},x\n", **{**ODC, "output": {**ODC["output"], "mode": "overwrite"}})
    assert run.files == [f"ftp_dpm_odc_20915_5_{TIMESTAMP}.overwrite.1.gz"]


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"id": {"column": "id"}}, ["[id]", "[record]", "output.kind 'id-sync'"]),
    ({"record": {"signals": ["a"]}}, ["[id]", "[record]", "output.kind 'id-sync'"]),
    ({"output": {"dpid": 5}}, ["output.dpid ", "output.kind 'id-sync'"]),
    ({"output": {"target": 5}}, ["output.target ", "output.kind 'id-sync'"]),
    ({"output": {"mode": "overwrite"}}, ["output.mode ", "'sync'", "(N6)"]),
    ({"output": {"odc_type": "idfa"}}, ["output.odc_type ", "output.kind 'odc'"]),
    ({"sync": None}, ["sync.columns ", "output.kind 'id-sync'"]),
    ({"sync": {"columns": [PAIRS[0]]}}, ["sync.columns"]),
    ({"sync": {"columns": [PAIRS[1], PAIRS[0]]}}, ["sync.allow_customer_master = true"]),
    ({"sync": {"columns": [PAIRS[0], {"column": "crm"}]}}, ["sync.columns ", "dpid", "'crm'"]),
    ({"sync": {"columns": [PAIRS[0], {"column": "aam", "dpid": 3}]}}, ["sync.columns ", "'aam'", "twice"]),
    ({"sync": {"columns": [PAIRS[0], {"column": "b", "dpid": 0}]}}, ["sync.columns ", " 0 ", "twice"]),
    (
        {"sync": {"columns": [{**PAIRS[0], "case": "lower", "type": "idfa"}, PAIRS[1]]}},
        ["sync.columns.case ", "'lower'"],
    ),
    ({"sync": {"columns": [{**PAIRS[0], "hash": "sha256"}, PAIRS[1]]}}, ["sync.columns.hash "]),
    ({"sync": {"columns": [PAIRS[0], {**PAIRS[1], "prefix": "a:"}]}}, ["prefix", "colon"]),
]


@pytest.mark.parametrize("changes, named", WRONG)
def test_a_synchronization_job_that_cannot_be_right_is_refused(
    run: Run, changes: dict[str, Any], named: list[str]
) -> None:
    from converter.jobs.document import merge

    with raises(JobError, "E-JOB-INVALID", *named):
        Job(**merge(sync_job(run), changes))


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"sync": {"columns": PAIRS}}, ["[sync]", "output.kind", "'id-sync'", "'c2c-id-sync'"]),
        ({"output": {"kind": "odc"}}, ["idfa", "gaid", "(C13)"]),
        ({"output": {"odc_type": "x"}}, ["output.odc_type ", "output.kind 'odc'"]),
        ({"output": {"dpid": None}}, ["output.dpid "]),
        ({"id": None}, ["id ", "--id COLUMN"]),
    ],
)
def test_a_data_job_that_cannot_be_right_is_refused(run: Run, changes: dict[str, Any], named: list[str]) -> None:
    with raises(JobError, "E-JOB-INVALID", *named):
        run.make_job(**changes)


def test_c14_customers_may_be_masters_where_the_job_says_so(run: Run) -> None:
    sync = {"columns": [PAIRS[1], PAIRS[0]], "allow_customer_master": True}
    convert(run, f"crm,aam\na,{UUID_1}\n", sync=sync)
    assert run.files == [f"adobe_id_1234_0_{TIMESTAMP}.sync.1.gz"]
    assert run.lines == [f"a\t{UUID_1}"]


def test_a_data_source_that_is_not_that_of_the_type_is_warned_of(run: Run) -> None:
    columns = [{**PAIRS[0], "dpid": 5}, {"column": "crm", "dpid": 20914}, {"column": "b", "dpid": 0}]
    document = sync_job(run, columns=columns)
    with raises(JobError, "E-JOB-INVALID", "sync.columns[1].type", "20914", "output.force"):
        Job(**document)
    document["output"]["force"] = True
    warnings = Job(**document).warnings
    assert codes_of(warnings) == ["W-ID-TYPE-SOURCE", "W-SOURCE-ID-TYPE", "W-SOURCE-ZERO"]
    check_named(warnings[0].message, "uuid", "sync.columns[0].dpid", "5")
    check_named(warnings[1].message, "20914", "gaid", "sync.columns[1].type", "crm")


IDFA = GAID.upper()
MIXED = f"id,a\nuser-1,x\n{GAID},y\n{IDFA},z\n{UUID_1},u\n{HASH.upper()},h\nuser-2,v\n"
ROUTES = {
    "crm": 1234,
    "gaid": {"target": 1234},
    "idfa": {"target": 1234},
    "uuid": {},
    "hashed_email": {"dpid": 77, "target": 5},
}


def routed(run: Run, content: str, routes: dict[str, Any], **changes: Any) -> Any:
    from converter import convert as convert_
    from converter.jobs.document import merge

    run.write(content)
    run.job["output"].pop("dpid", None)
    run.job["output"]["route"] = routes
    return convert_(Job(**merge({**run.job, "id": {"column": "id", "type": "auto"}}, changes)))


def texts(run: Run) -> dict[str, str]:
    """The text of each file."""
    import gzip

    return {name: gzip.decompress((run.out / name).read_bytes()).decode() for name in run.files}


def test_i1_ids_of_several_types_go_to_files_of_their_own_in_one_pass(run: Run) -> None:
    report = routed(run, MIXED, ROUTES)
    assert texts(run) == {
        f"ftp_dpm_1234_{TIMESTAMP}.sync.1.gz": 'user-1\t"a"="x"\nuser-2\t"a"="v"\n',
        f"ftp_dpm_20914_1234_{TIMESTAMP}.sync.1.gz": f'{GAID}\t"a"="y"\n',
        f"ftp_dpm_20915_1234_{TIMESTAMP}.sync.1.gz": f'{IDFA}\t"a"="z"\n',
        f"ftp_dpm_0_{TIMESTAMP}.sync.1.gz": f'{UUID_1}\t"a"="u"\n',
        f"ftp_dpm_77_5_{TIMESTAMP}.sync.1.gz": f'{HASH}\t"a"="h"\n',
    }
    assert report.ids == {
        "changed": {"case": 1},
        "types": {"crm": 2, "gaid": 1, "hashed_email": 1, "idfa": 1, "uuid": 1},
    }
    assert [part.name.split("_")[2] for part in report.parts] == ["1234", "20914", "20915", "0", "77"]
    assert report.records == {"read": 6, "written": 6, "rejected": {}, "skipped": {}}


def test_i1_a_type_without_a_route_is_rejected_and_a_route_without_rows_gives_no_file(run: Run) -> None:
    zero = "00000000-0000-0000-0000-000000000000"
    report = routed(
        run, f"{MIXED}{zero},x\n0000,x\n", {"crm": 1234, "uuid": 0, "idfa": {"target": 9}}, id={"case": "upper"}
    )
    assert report.records["rejected"] == {"id_all_zero": 1, "id_not_routed": 2}
    assert texts(run)[f"ftp_dpm_1234_{TIMESTAMP}.sync.1.gz"] == 'USER-1\t"a"="x"\nUSER-2\t"a"="v"\n0000\t"a"="x"\n'


def test_i1_routed_files_are_split_each_by_itself(run: Run) -> None:
    rows = "".join(f"user-{n},{n}\n{GAID[:-4]}{n:04},{n}\n" for n in range(400))
    routes = {"crm": 1234, "gaid": {"target": 5}}
    routed(run, "id,a\n" + rows, routes, output={"max_part_raw_bytes": 6000})
    splits: dict[str, list[int]] = {}
    for name in run.files:
        splits.setdefault(name.split("_")[2], []).append(int(name.split(".")[2]))
    assert {source: sorted(numbers) for source, numbers in splits.items()} == {
        "1234": list(range(1, len(splits["1234"]) + 1)),
        "20914": list(range(1, len(splits["20914"]) + 1)),
    }
    assert min(map(len, splits.values())) > 1
    lines = "".join(texts(run).values()).split("\n")
    assert len(lines) - 1 == 800


@pytest.mark.parametrize("ids, fine", [(["user-1", "user-2"], True), (["user-1", GAID, UUID_1], False)])
def test_i1_without_routes_a_mixed_column_is_refused_with_an_example_that_works(
    run: Run, ids: list[str], fine: bool
) -> None:
    import tomllib

    content = "id,a\n" + "".join(f"{id_},x\n" for id_ in ids)
    if fine:
        assert run.convert(content, id={"type": "auto"}).ids == {"changed": {}, "types": {"crm": 2}}
        return
    with raises(GuardError, "E-ID-TYPES-MIXED", "(1 uuid, 1 gaid, 1 crm)") as raised:
        run.convert(content, id={"type": "auto"})
    said = str(raised.value)
    assert run.files == []
    (example,) = re.findall(r"\[output\] (route = {.*})", said)
    routes = tomllib.loads(example)["route"]
    routed(run, content, routes)
    assert len(run.files) == 3


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"id": {"type": "crm"}}, ["output.route ", "id.type 'auto'"]),
        ({"output": {"dpid": 4}}, ["output.dpid ", "output.route"]),
        ({"output": {"target": 4}}, ["output.target ", "output.route"]),
        ({"output": {"route": {"hashed_email": {}}}}, ["output.route.hashed_email ", "dpid"]),
        ({"output": {"route": {"gaid": {}}}}, ["output.route.gaid.target "]),
        ({"output": {"route": {"uuid": 1234}}}, ["output.route ", "twice"]),
        ({"output": {"route": {"roku": 1}}}, ["roku"]),
        ({"id": {"pad": 3}}, ["id.pad ", "id.type", "'auto'"]),
    ],
)
def test_routes_that_cannot_be_right_are_refused(run: Run, changes: dict[str, Any], named: list[str]) -> None:
    from converter.jobs.document import merge

    job = merge(run.job, {"id": {"type": "auto"}, "output": {"route": {"crm": 1234}}})
    job["output"].pop("dpid")
    with raises(JobError, "E-JOB-INVALID", *named):
        Job(**merge(job, changes))


def test_auto_without_routes_publishes_at_the_end(run: Run) -> None:
    with raises(JobError, "E-JOB-INVALID", "output.publish ", "'each'", "id.type", "'auto'", "output.route"):
        run.make_job(id={"type": "auto"}, output={"publish": "each"})


CUSTOMERS = [{"column": "crm", "dpid": 1234}, {"column": "mail", "type": "hashed_email", "hash": "sha256", "dpid": 77}]


def hashed(number: int) -> str:
    import hashlib

    return hashlib.sha256(f"a{number}@x.org".encode()).hexdigest()


def gathered(at: Run, rows: list[str], **changes: Any) -> Any:
    content = "crm,mail,seen\n" + "".join(f"{row}\n" for row in rows)
    return convert(at, content, kind="c2c-id-sync", columns=CUSTOMERS, **changes)


def test_n6_the_addresses_of_a_customer_come_on_one_line_the_newest_first(run: Run) -> None:
    report = gathered(run, ["u1,A1@x.org,", "u2,a2@x.org,", "u1,a3@x.org,", " u1 ,a1@X.org ,"])
    assert run.files == [f"c2c_id_1234_77_{TIMESTAMP}.sync.1.gz"]
    assert sorted(run.lines) == [f"u1\t{hashed(1)}\t{hashed(3)}", f"u2\t{hashed(2)}"]
    assert report.records == {"read": 4, "written": 4, "rejected": {}, "skipped": {}}
    assert ("4", "rows written, in 2 lines") in summary(report)
    assert sum(part.lines for part in report.parts) == 2


def test_i4_the_newest_ten_addresses_are_kept_by_date_and_the_others_rejected(run: Run) -> None:
    rows = [f"u1,a{day}@x.org,2026-01-{day:02}" for day in (5, 12, 1, 9, 3, 11, 2, 8, 7, 10, 6, 4)]
    rows += ["u1,a1@x.org,2026-02-01T10:00:00Z", "u1,a99@x.org,", "u1,a98@x.org,nonsense", "u2,a2@x.org,1767225600"]
    report = gathered(run, rows, sync={"columns": CUSTOMERS, "date": "seen"})
    newest = [1, *range(12, 3, -1)]
    assert sorted(run.lines)[0].split("\t") == ["u1", *(hashed(number) for number in newest)]
    assert report.records["rejected"] == {"hash_too_old": 3, "date_unreadable": 1}
    assert sorted(row["row"] for row in run.rejects) == [6, 8, 15, 16]
    assert {row["code"] for row in run.rejects} == {"I4"}


DATES = [  # of the same customer, each an hour later than the one before
    "2024-01-31",
    "2024-01-31T01:00:00Z",
    "2024-01-31 02:00",
    "2024-01-31T05:00:00+02:00",
    "2024-01-30T22:30:00.000-0530",
    "31.01.2024 05:00",
    "1706680800",
    "1706684400000",
    "20240131T080000Z",
    "2024-01-31 11:00:00 +02",
]


def test_i4_dates_of_all_forms_are_compared_as_moments(run: Run) -> None:
    order = [3, 7, 0, 9, 4, 1, 8, 2, 6, 5]
    rows = [f"u1,a{number}@x.org,{DATES[number]}" for number in order]
    gathered(run, rows, sync={"columns": CUSTOMERS, "date": "seen"})
    assert run.lines == ["\t".join(["u1", *(hashed(number) for number in range(9, -1, -1))])]


@pytest.mark.parametrize("date", ["01/31/2024", "2024-13-01", "31.01.24", "yesterday", "2024", "2024-01-31T25:00:00"])
def test_i4_a_date_that_cannot_be_read_is_rejected(run: Run, date: str) -> None:
    report = gathered(run, [f"u1,a1@x.org,{date}", "u2,a2@x.org,"], sync={"columns": CUSTOMERS, "date": "seen"})
    assert report.records["rejected"] == {"date_unreadable": 1}
    assert run.lines == [f"u2\t{hashed(2)}"]


def test_i4_dates_are_read_by_their_format(run: Run) -> None:
    sync = {"columns": CUSTOMERS, "date": "seen", "date_format": "%m/%d/%Y"}
    report = gathered(run, ["u1,a1@x.org,02/01/2024", "u1,a2@x.org,01/31/2024", "u1,a3@x.org,2024-01-31"], sync=sync)
    assert report.records["rejected"] == {"date_unreadable": 1}
    assert run.lines == ["\t".join(["u1", hashed(1), hashed(2)])]


@pytest.mark.parametrize("form", ["%Y", "%m/%d", "nonsense", "%Q", "%H:%M"])
def test_a_format_that_gives_no_day_is_refused(run: Run, form: str) -> None:
    with raises(JobError, "E-JOB-INVALID", "sync.date_format"):
        gathered(run, ["u1,a1@x.org,x"], sync={"columns": CUSTOMERS, "date": "seen", "date_format": form})


def test_c2c_lines_do_not_depend_on_memory(run: Run, fresh_run: Any) -> None:
    import random

    rng = random.Random(5)
    rows = [
        f"u{rng.randrange(800)},a{rng.randrange(300)}@x.org,{rng.randrange(10**9, 2 * 10**9)}" for _ in range(20_000)
    ]
    sync = {"columns": CUSTOMERS, "date": "seen"}
    gathered(run, rows, sync=sync)
    other = fresh_run()
    gathered(other, rows, sync=sync, run={"memory": "1MB", "threads": 3})
    assert other.text == run.text
    assert len(run.lines) == 800


def test_a_gathered_line_that_is_too_long_is_rejected_with_all_its_rows(run: Run) -> None:
    long = "u" * 102_300
    report = gathered(run, [f"{long},a1@x.org,", f"{long},a2@x.org,", "u,a3@x.org,"])
    assert report.records["rejected"] == {"line_too_long": 2}
    assert run.lines == [f"u\t{hashed(3)}"]


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"sync": {"columns": PAIRS}}, ["sync.columns ", "crm", "hashed_email", "(N6)"]),
        ({"sync": {"columns": CUSTOMERS}, "output": {"kind": "id-sync"}}, ["sync.allow_customer_master = true"]),
        (
            {"sync": {"columns": PAIRS, "date": "x"}, "output": {"kind": "id-sync"}},
            ["sync.date ", "output.kind 'c2c-id-sync'"],
        ),
    ],
)
def test_a_c2c_job_that_cannot_be_right_is_refused(run: Run, changes: dict[str, Any], named: list[str]) -> None:
    from converter.jobs.document import merge

    with raises(JobError, "E-JOB-INVALID", *named):
        Job(**merge(sync_job(run, "c2c-id-sync"), changes))


def test_i5_mappings_beyond_what_audience_manager_keeps_are_counted_exactly(run: Run) -> None:
    def device(number: int) -> str:
        return f"{GAID[:-6]}{number:06}"

    rows = [f"{device(n)},many" for n in range(101)] + [f"{device(n)},fine" for n in range(100)]
    rows += [f"{device(500)},c{n}" for n in range(11)] + [f"{device(501)},c{n}" for n in range(10)] + rows[:50]
    columns = [{"column": "ad", "type": "gaid"}, {"column": "crm", "dpid": 1234}]
    report = convert(run, "ad,crm\n" + "".join(f"{row}\n" for row in rows), columns=columns)
    assert report.ids["over_limit"] == {"customer_over_limit": 1, "device_over_limit": 1}
    assert codes_of(report.warnings) == ["W-CUSTOMER-OVER-LIMIT", "W-DEVICE-OVER-LIMIT"]
    assert report.records["rejected"] == {}


def test_i5_audience_managers_own_ids_are_not_counted(run: Run) -> None:
    rows = [f"{n:038},user" for n in range(150)]
    assert "over_limit" not in convert(run, "aam,crm\n" + "".join(f"{row}\n" for row in rows)).ids


COLLIDING = "id,a\nUser1,x\nuser2,x\nUSER1,x\nuser1,x\nÉ,x\né,x\nUser1,y\nuser3,\nUSER3,x\nStraße,x\nSTRASSE,x\n"


def test_c12_ids_that_differ_only_by_case_are_counted_on_request(run: Run) -> None:
    report = run.convert(COLLIDING, id={"case_collisions": "report"})
    assert report.ids["case_collisions"] == {"ids": 7, "folded": 3}
    assert report.records["rejected"] == {}
    assert report.records["skipped"] == {"no_signal": 1}
    (warning,) = report.warnings
    assert warning.code == "W-ID-CASE-COLLISION"
    check_named(warning.message, "7", "3")


def test_c12_rows_of_ids_that_collide_are_rejected_on_request(run: Run) -> None:
    report = run.convert(COLLIDING, id={"case_collisions": "reject"})
    assert [line.partition("\t")[0] for line in run.lines] == ["user2", "USER3"]
    assert report.records["rejected"] == {"id_case_collision": 8}
    assert report.records["skipped"] == {"no_signal": 1}
    assert [row["row"] for row in run.rejects if row["code"] == "C12"] == [2, 4, 5, 6, 7, 8, 11, 12]
    assert report.ids["case_collisions"] == {"ids": 7, "folded": 3}


def test_c12_ids_that_are_one_in_the_case_of_the_job_do_not_collide(run: Run) -> None:
    report = run.convert(COLLIDING, id={"case_collisions": "reject", "case": "lower"})
    assert report.records["rejected"] == {"id_case_collision": 2}  # straße and strasse
    assert report.records["skipped"] == {"no_signal": 1}
    assert report.ids["case_collisions"] == {"ids": 2, "folded": 1}


def test_more_collisions_than_memory_holds_are_an_error_that_says_what_to_do(run: Run) -> None:
    from converter.errors import TooManyRejectsError

    rows = "".join(f"user{n:030},x\nUSER{n:030},x\n" for n in range(20_000))
    with raises(TooManyRejectsError, "E-COLLISIONS-MEMORY", "run.memory"):
        run.convert("id,a\n" + rows, id={"case_collisions": "reject"}, run={"memory": "1MB"})
    assert run.files == []
