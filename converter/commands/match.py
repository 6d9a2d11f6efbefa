"""The command `match`: which IDs of a CRM match those of a web site, and which settings of `[id]` match most of them.

1. The IDs of both are read once and partitioned by a case-insensitive hash (`spill.py`): equal IDs, and those that
   differ only by case, are in the same partition.
2. Candidates for the settings are derived from samples of both, the IDs with the lowest hashes (`candidates.py`).
3. One pass counts the distinct IDs, those that match unchanged, those that differ only by case, and those of the sample
   that match with each candidate, among all IDs of the site.
4. The few best candidates are counted again, with all IDs. The best of them is recommended; of equally good ones the
   simplest.

An ID matches if `convert` would write it, and what it would write is an ID of the site, character by character: hashes
only partition IDs. All counts are of distinct IDs, without missing ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from converter import kernel
from converter.columns.normalize import check_hashing, normalize_id, null_if_empty, recognize_type, steps_of
from converter.columns.privacy import mask, numbers_are_ids, personal_kind
from converter.columns.text import as_text, check_id_type
from converter.commands.candidates import as_it_is, candidates, settings_of
from converter.errors import ColumnError, ConverterError, EmptyInputError, Finding
from converter.jobs.access import DEFAULT_ACCESS, Access
from converter.jobs.comparison import Comparison
from converter.jobs.sections.ids import Id, IdTypeName
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.table import Input
from converter.report.matches import Collisions, Match, Tried
from converter.rows.formatting import fold_case
from converter.rows.selection import Selection
from converter.rows.spill import Spill, hashes_of
from converter.sources.base import Budget, Roles, Source, Task, first_rows
from converter.sources.engine import collect, start
from converter.sources.opening import find_input, find_origins, open_source, open_sources
from converter.sources.origins.base import Found, check_rereadable
from converter.sources.tasks import tasks_of
from converter.spec import rules
from converter.spec.ids import FORM_LENGTHS, FORMS, ID_TYPES, RECOGNIZED, TRIMMED
from converter.spec.implausible import implausible_reason

Counts = npt.NDArray[np.int64]

_FOLDED = fold_case(pl.col("id"))
_NO_IDS = pl.DataFrame(schema={"id": pl.String()})
_NONE_MADE = pl.DataFrame(schema={"id": pl.String(), "number": pl.UInt16()})

_MOST_CANDIDATES = 400
_MOST_SAMPLED = 50_000  # IDs of each side
_MOST_FORMS = 2_000_000  # normalized IDs of the sample, for all candidates together: hashing them takes seconds
_COUNTED_IN_FULL = 3  # candidates
_PLAIN, _AS_IT_IS = 0, 1  # the candidate with default settings, and the one that changes nothing
_MOST_EXAMPLES = 5
_MOST_COLLIDING = 4  # IDs in an example
_OFTEN = 0.9  # the share of distinct IDs in a piece from which removing duplicates does not pay
_SURVEYED = 1_000  # rows, as in `rows.survey`


def match(
    crm: Input | str | os.PathLike[str],
    site: Input | str | os.PathLike[str],
    *,
    column: str | None = None,
    site_column: str | None = None,
    type_: IdTypeName = "crm",
    run: RunOptions | None = None,
    access: Access = DEFAULT_ACCESS,
    notify: Callable[[str], None] | None = None,
) -> Match:
    """Compare the IDs of a CRM with those that a web site sends, and recommend the settings that match most.

    `crm` and `site` are paths, or inputs as in a job; `column` and `site_column` are the columns with the IDs, by
    default the first ones. All candidates have the type `type_`; e-mail addresses may also become `hashed_email`.
    `access` has the settings of servers.
    `notify` is called with sentences about the progress. Raises `InputError`, `ColumnError`, and `DestinationError` if
    the disk is full.
    """
    run, notify = run or RunOptions(), notify or (lambda _: None)
    ours, theirs = _open(crm, column, access), _open(site, site_column, access)
    left_out = [*ours.found.left_out, *theirs.found.left_out]
    first = _first_ids(ours)  # here, since some inputs can be read only once
    with Spill(_FOLDED, run.memory, run.spill_dir) as spill:
        warnings = [*ours.found.warnings, *theirs.found.warnings]
        for table, side in (("crm", ours), ("site", theirs)):
            spill.add(_NO_IDS, table)
            warnings += _read(side, spill, table, run)
            notify(f"Read the IDs of the {'CRM' if table == 'crm' else 'site'}.")
        sample, is_whole = _sample(spill, "crm")
        site_sample, _ = _sample(spill, "site")
        _check_header(ours, sample, "--no-header", "--id")
        _check_header(theirs, site_sample, "--site-no-header", "--site-id")
        ids = _candidates(ours.column, type_, sample, site_sample)
        rows = min(len(sample), _MOST_FORMS // len(ids))
        trial = _Trial(spill, ids, first)
        trial.sample(sample.head(rows), is_whole=is_whole and rows == len(sample))
        notify(f"Trying {len(ids):,} candidates.")
        trial.count()
        notify("Counting the best of them.")
        trial.count_in_full()
        return trial.match(warnings)._replace(left_out=left_out)


def without_header(options: Input | str | os.PathLike[str], access: Access = DEFAULT_ACCESS) -> Input:
    """Return the same input without a header, so that its first row is one like the others.

    Its columns are named `column_1`, `column_2` and so on. Formats that always name their columns are not changed.
    """
    options = _input(options)
    origin = find_origins(options, access)[0]
    check_rereadable([origin], "its columns are counted first", "Copy it to a file first.")
    source = open_source(origin, options, ())
    if not source.has_header:
        return options
    names = tuple(f"column_{number}" for number in range(1, len(source.names) + 1))
    return options.model_copy(update={"header": False, "columns": names})


class _Side(NamedTuple):
    """The files of one side; `column` is the column with the IDs, `named` whether the user named it."""

    options: Input
    sources: Sequence[Source]
    column: str
    named: bool
    selection: Selection
    found: Found

    def ids(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Select the unchanged IDs of rows (String), null where one is missing, as in `Records.texts`."""
        type_ = rows.collect_schema()[self.column]
        text = as_text(pl.col(self.column), self.column, type_)
        if self.options.null_values and type_ == pl.String:
            text = pl.when(~text.is_in(list(self.options.null_values))).then(text)
        return rows.select(null_if_empty(text).alias("id"))


def _input(options: Input | str | os.PathLike[str]) -> Input:
    """Return the input of a path. Raises `JobError` where it is none."""
    if isinstance(options, Input):
        return options
    return Comparison(input={"path": options}, site={"path": options}).input


def _open(options: Input | str | os.PathLike[str], column: str | None, access: Access) -> _Side:
    options = _input(options)
    start()
    found = find_input(options, access)
    name = column if column is not None else next(iter(open_source(found.origins[0], options, ()).schema))
    selection = Selection(options, (name,))
    sources = open_sources(found.origins, options, selection.own, Roles(ids=frozenset((name,))))
    for source in sources:
        check_id_type(name, selection.check(source)[name], source.origin.label)
    return _Side(options, sources, name, column is not None, selection, found)


def _read(side: _Side, spill: Spill, table: str, run: RunOptions) -> Iterator[Finding]:
    """Add the IDs of one side to a table, in the order of the files; yield warnings."""
    workers = run.threads or os.cpu_count() or 1
    malformed: Counter[str] = Counter()
    with ThreadPoolExecutor(workers, thread_name_prefix="match") as pool:
        under_way: deque[Future[_Ids]] = deque()

        def take() -> None:
            ids = under_way.popleft().result()
            spill.add(ids.ids, table)
            malformed.update(ids.malformed)

        try:
            for task in tasks_of(side.sources, side.selection.columns, kernel.load(), Budget(workers, run.memory)):
                under_way.append(pool.submit(_ids_of, task, side))
                if len(under_way) > workers:
                    take()
            while under_way:
                take()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for source in side.sources:
        source.origin.check_unchanged()
    for path, count in (+malformed).items():
        rows = "1 row" if count == 1 else f"{count:,} rows"
        message = f"{rows} of '{path}' cannot be parsed: they are omitted here, and `convert` rejects them."
        yield Finding("W-MATCH-ROWS", message)


class _Ids(NamedTuple):
    """The IDs of a block, and the labels of the inputs that its malformed rows are in."""

    ids: pl.DataFrame
    malformed: Counter[str]


def _ids_of(task: Task, side: _Side) -> _Ids:
    """Return the IDs of a block."""
    block = task.parse(None)
    rows = side.selection.apply(block.rest.frame(), task.source).frame
    ids = collect(block.pieces[0].origin, side.ids(rows.lazy()))
    malformed: Counter[str] = Counter()
    for piece, count in zip(block.pieces, block.malformed_by_piece(), strict=True):
        malformed[piece.origin.label] += count
    return _Ids(_with_few_duplicates(ids.drop_nulls()), malformed)


def _with_few_duplicates(ids: pl.DataFrame) -> pl.DataFrame:
    """Return IDs, without duplicates if there are many: an ID in most rows would not fit into a partition."""
    distinct = ids.select(pl.col("id").approx_n_unique()).item() if ids.height else 0
    return ids.unique() if distinct < _OFTEN * ids.height else ids


def _sample(spill: Spill, table: str) -> tuple[pl.Series, bool]:
    """Return a sample of the distinct IDs of a table, and whether these are all.

    The sample has the IDs with the lowest hashes, so that it depends neither on the order of the rows nor on memory.
    """
    frames, count = [_NO_IDS], 0
    with contextlib.closing(spill.partitions(table)) as partitions:
        for (ids,) in partitions:
            frames.append(ids.unique())
            count += frames[-1].height
            if count > _MOST_SAMPLED:  # all others have higher hashes
                break
    ids = pl.concat(frames)
    by_hash = ids.with_columns(hash=pl.Series(hashes_of(ids.select(_FOLDED).to_series()))).sort("hash", "id")
    return by_hash["id"].head(_MOST_SAMPLED).rechunk(), count <= _MOST_SAMPLED


def _check_header(side: _Side, sample: pl.Series, flag: str, column_flag: str) -> None:
    """Raise an error if there are no IDs, or if the name of the column is most likely an ID itself."""
    path = side.sources[0].origin.label
    if not len(sample):
        raise EmptyInputError(
            "E-MATCH-NO-IDS",
            f"The column of IDs in '{path}' contains none.",
            f"Name another column with {column_flag}, or use {flag} if the first row is not a header.",
        )
    if side.sources[0].has_header and not side.named and _looks_like_an_id(side.column, sample):
        raise ColumnError(
            "E-MATCH-HEADER",
            f"The first row of '{path}' was read as the header, but looks like a row with an ID.",
            f"Use {flag} if it is not a header; otherwise name the column with {column_flag}.",
        )


def _looks_like_an_id(name: str, sample: pl.Series) -> bool:
    """Return whether a text with digits has the pattern of letters and digits of an ID, or the length of most."""
    if "@" in name:
        return True
    if sum(mark.isdigit() for mark in name) < 3:
        return False
    shapes = pl.concat([sample, pl.Series([name])]).str.replace_all(r"\d", "0").str.replace_all(r"\p{L}", "a")
    if shapes.item(-1) in shapes.head(len(sample)):
        return True
    return len(name) >= 8 and 2 * int((sample.str.len_chars() == len(name)).sum()) > len(sample)


def _first_ids(side: _Side) -> pl.DataFrame:
    """Return the first IDs, as `id`: normalized, they show whether bare numbers are IDs (see `rows.survey`)."""
    if first := first_rows(side.sources, side.selection.columns, _SURVEYED):
        source, frame = first
        with contextlib.suppress(ConverterError):  # reported when the file is read
            rows = side.selection.apply(frame.collect(), source).frame
            return collect(source.origin, side.ids(rows.lazy()))
    return _NO_IDS


def _candidates(column: str, type_: IdTypeName, sample: pl.Series, site: pl.Series) -> list[Id]:
    """Return candidates, the simplest first, with the one with default settings and the one that changes nothing."""
    as_is = as_it_is(column, type_)
    plain, *others = (id_ for id_ in candidates(column, type_, sample, site, _MOST_CANDIDATES) if id_ != as_is)
    if any(id_.hash for id_ in others):
        check_hashing()
    return [plain, as_is, *others]


class _Trial:
    """Counts how many IDs match with each candidate.

    The number of a candidate is its index in `ids`; tables of normalized IDs have it in the column `number`.
    """

    def __init__(self, spill: Spill, ids: Sequence[Id], first: pl.DataFrame) -> None:
        self._spill = spill
        self._ids = ids
        self._numbers: list[int] = []
        self._by_rules: dict[tuple[str, bool], list[int]] = {}
        """Numbers of candidates by the rules that apply: by their type, and by whether bare numbers may be cards."""
        for number, id_ in enumerate(ids):
            cards = not numbers_are_ids(_normalize(first, number, id_)["id"].fill_null(""))
            self._by_rules.setdefault((id_.type, cards), []).append(number)
        self._sampled = 0
        self._is_whole = False
        self._crm = self._site = 0
        self._hits: Counts = np.zeros(len(ids), np.int64)
        self._exact: dict[int, int] = {}
        self._collisions = 0
        self._examples = pl.DataFrame(schema={"fold": pl.String(), "id": pl.List(pl.String())})
        self._types: Counter[int] = Counter()

    def sample(self, sample: pl.Series, *, is_whole: bool) -> None:
        """Normalize a sample with each candidate; candidates with the same result as a simpler one are dropped.

        `is_whole` says whether the sample contains all IDs.
        """
        self._sampled, self._is_whole = len(sample), is_whole
        self._spill.add(_NONE_MADE, "sample")
        seen = set()
        for number, id_ in enumerate(self._ids):
            made = _normalize(sample.to_frame("id"), number, id_)
            digest = hashlib.sha256(hashes_of(made["id"]).tobytes()).digest()
            if digest not in seen or number == _AS_IT_IS:
                seen.add(digest)
                self._numbers.append(number)
                self._spill.add(made.drop_nulls(), "sample")

    def count(self) -> None:
        """Count the IDs of both sides, and everything that can be counted in one pass."""
        as_is = pl.lit(_AS_IT_IS, pl.UInt16).alias("number")
        matched = 0
        for crm, site, made in self._spill.partitions("crm", "site", "sample"):
            ids, known = crm.unique(), site.unique()
            self._crm += ids.height
            self._site += known.height
            matched += int(self._matched(ids.with_columns(as_is), known)[_AS_IT_IS])
            self._hits += self._matched(made.unique(), known)
            self._count_case_collisions(ids)
            self._count_types(ids)
        self._exact = dict(enumerate(self._hits.tolist())) if self._is_whole else {}
        self._exact[_AS_IT_IS] = matched

    def count_in_full(self) -> None:
        """Count again, with all IDs, the candidates that are best for the sample."""
        best = [number for number in self._best(self._hits) if number not in self._exact][:_COUNTED_IN_FULL]
        best = [number for number in best if self._hits[number]] or [number for number in best if number == _PLAIN]
        if not best or self._is_whole:
            return
        self._spill.add(_NONE_MADE, "made")
        for (crm,) in self._spill.partitions("crm"):
            ids = crm.unique()
            for number in best:
                self._spill.add(_normalize(ids, number, self._ids[number]).drop_nulls(), "made")
        counts = np.zeros(len(self._ids), np.int64)
        for made, site in self._spill.partitions("made", "site"):
            counts += self._matched(made.unique(), site)
        self._exact |= {number: int(counts[number]) for number in best}

    def match(self, warnings: Sequence[Finding]) -> Match:
        """Return the result; `warnings` are added to its own."""
        exact = np.full(len(self._ids), -1, np.int64)
        exact[list(self._exact)] = list(self._exact.values())
        recommended = self._tried(self._best(exact)[0])
        tried = sorted(map(self._tried, self._numbers), key=lambda each: -each.matched)
        types = {RECOGNIZED[index]: count for index, count in sorted(self._types.items())}
        return Match(
            self._crm,
            self._site,
            self._tried(_AS_IT_IS),
            recommended,
            tried,
            Collisions(self._collisions, _masked(self._examples)),
            types,
            [*warnings, *self._advice(recommended, types)],
        )

    def _best(self, counts: Counts) -> list[int]:
        """Return the numbers of the candidates, the best first, and of equally good ones the simplest."""
        return sorted(self._numbers, key=lambda number: (-counts[number], number))

    def _tried(self, number: int) -> Tried:
        id_, is_exact = self._ids[number], number in self._exact
        share = self._hits[number] / self._sampled
        matched = self._exact[number] if is_exact else round(share * self._crm)
        settings = {"column": id_.column, "type": id_.type, **settings_of(id_)}
        steps = [step.words for step in steps_of(id_)]
        return Tried(settings, steps, matched, round(matched / self._crm, 6), is_exact)

    def _matched(self, made: pl.DataFrame, site: pl.DataFrame) -> Counts:
        """Count, for each candidate, the normalized IDs that the site has and that no rule rejects.

        `made` has no duplicates.
        """
        matches = made.join(site, on="id", how="semi")
        counts = np.zeros(len(self._ids), np.int64)
        for (name, cards), numbers in self._by_rules.items():
            group = matches.filter(pl.col("number").is_in(numbers)) if len(self._by_rules) > 1 else matches
            if group.height:
                accepted = group.filter(_accepted(group, self._ids, name, cards=cards))
                counts += np.bincount(accepted["number"].to_numpy(), minlength=len(self._ids))
        return counts

    def _count_case_collisions(self, ids: pl.DataFrame) -> None:
        """Count distinct IDs that differ from others only by case."""
        ids = ids.with_columns(fold=_FOLDED)
        if (ids["fold"] == ids["id"]).all():
            return  # for example numbers; the search for duplicates would take longer
        colliding = ids.filter(pl.col("fold").is_duplicated())
        self._collisions += colliding.height
        examples = colliding.group_by("fold").agg(pl.col("id").sort().head(_MOST_COLLIDING))
        self._examples = pl.concat([self._examples, examples]).sort("fold").head(_MOST_EXAMPLES)

    def _count_types(self, ids: pl.DataFrame) -> None:
        """Count distinct IDs that have the form of another type."""
        trimmed = ids.select(pl.col("id").str.strip_chars(TRIMMED))
        trimmed = trimmed.filter(pl.col("id").str.len_chars().is_in(list(FORM_LENGTHS.values())))
        types = trimmed.select(recognize_type(pl.col("id")).alias("type"))["type"]
        counts = Counter({index: int((types == index).sum()) for index in range(len(FORMS))})
        own = {name for name in FORMS if ID_TYPES[name].groups == ID_TYPES[self._ids[_PLAIN].type].groups}
        self._types += Counter({index: count for index, count in counts.items() if RECOGNIZED[index] not in own})

    def _advice(self, recommended: Tried, types: Mapping[str, int]) -> Iterator[Finding]:
        """Yield warnings about the result."""
        for name, count in types.items():
            if 2 * count > self._crm:
                message = f"Most IDs of the CRM look like IDs of type {name}."
                yield Finding("W-MATCH-TYPE", message, f"If they are, use --id-type {name}.")
        if not recommended.matched:
            message = "No IDs match, with any settings: most likely the IDs of the site are from another system."
            yield Finding("W-MATCH-NONE", message)


def _normalize(ids: pl.DataFrame, number: int, id_: Id) -> pl.DataFrame:
    """Return IDs normalized with a candidate, in their order, null where nothing is left."""
    return ids.select(normalize_id(id_, pl.col("id")).alias("id"), pl.lit(number, pl.UInt16).alias("number"))


def _accepted(made: pl.DataFrame, candidates: Sequence[Id], type_: str, *, cards: bool) -> pl.Series:
    """Return for each ID, normalized by the candidate with its number, whether the rules of a data file accept it."""
    around = pl.DataFrame(
        [(number, id_.prefix, id_.suffix) for number, id_ in enumerate(candidates)],
        schema={"number": pl.UInt16, "prefix": pl.String, "suffix": pl.String},
        orient="row",
    )
    bare = pl.col("id0").str.strip_prefix(pl.col("prefix")).str.strip_suffix(pl.col("suffix"))
    judged = made.join(around, on="number", maintain_order="left").rename({"id": "id0"})
    judged = judged.with_columns(
        personal0=personal_kind(pl.col("id0"), cards=cards),
        implausible0=implausible_reason(bare, bare, candidates[0].column, spaceless=False),
    )
    of_type = rules.id_rules(ID_TYPES[type_], implausible=not ID_TYPES[type_].groups)
    return judged.select(rules.first_reason(of_type).is_null()).to_series()


def _masked(examples: pl.DataFrame) -> list[list[str]]:
    """Return examples of IDs that differ only by case, masked."""
    ids = examples.explode("id").rechunk().with_columns(mask(pl.col("id")))
    return ids.group_by("fold", maintain_order=True).agg("id")["id"].to_list()
