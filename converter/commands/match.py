"""The capability `match`: which IDs of a CRM a web site knows, and by which settings of `[id]` it knows most of them.

1. The IDs of both are read once, and spread by a hash for which case does not count (`spill.py`): so equal ones, and
   those that differ by case alone, are in the same partition.
2. Samples of both, those IDs whose hashes are lowest, say which settings may help (`candidates.py`).
3. In one pass it is counted how many distinct IDs there are, how many match as they are, how many differ by case alone,
   and how many IDs of the sample match by each candidate, among all IDs of the site.
4. The few candidates by which most of the sample match are counted again, with all IDs. The best of them is
   recommended, the simplest among equals.

An ID matches where what `convert` would write for it, if it would, is an ID of the site, letter by letter: texts are
compared, and a hash only says where to look. The figures are of distinct IDs, missing ones left out.
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

from converter.columns.normalize import check_hashing, normalize_id, null_if_empty, recognize_type, steps_of
from converter.columns.privacy import mask, numbers_are_ids, personal_kind
from converter.columns.text import as_text, check_id_type
from converter.commands.candidates import as_it_is, candidates, settings_of
from converter.errors import ColumnError, ConverterError, EmptyInputError, Finding
from converter.jobs.sections.ids import Id, IdTypeName
from converter.jobs.sections.run import RunOptions
from converter.jobs.sections.table import Input
from converter.report.matches import Collisions, Match, Tried
from converter.rows.formatting import fold_case
from converter.rows.pipeline import all_rows, collected, start
from converter.rows.spill import Spill, hashes_of
from converter.sources import Source, find_origins, open_source
from converter.sources.base import Task, first_rows
from converter.sources.origins.base import check_rereadable
from converter.spec import rules
from converter.spec.ids import FORMS, ID_TYPES, RECOGNIZED, TRIMMED

Counts = npt.NDArray[np.int64]

_FOLDED = fold_case(pl.col("id"))
_NO_IDS = pl.DataFrame(schema={"id": pl.String()})
_NONE_MADE = pl.DataFrame(schema={"id": pl.String(), "number": pl.UInt16()})

_MOST_CANDIDATES = 400
_MOST_SAMPLED = 50_000  # IDs of either side
_MOST_FORMS = 2_000_000  # of IDs of the sample, by all candidates together: hashing them takes seconds
_COUNTED_IN_FULL = 3  # candidates
_PLAIN, _AS_IT_IS = 0, 1  # the candidate that says nothing, and the one that changes nothing
_MOST_EXAMPLES = 5
_MOST_ALIKE = 4  # IDs of an example
_MOST_WORKERS = 8
_OFTEN = 0.9  # of the rows of a piece hold different IDs; to leave out repetitions is not worth it beyond
_SURVEYED = 1_000  # rows, as `plan` does
_FORM_LENGTHS = (36, 38, 64)  # characters: those of `FORMS`


def match(
    crm: Input | str,
    site: Input | str,
    *,
    column: str | None = None,
    site_column: str | None = None,
    type_: IdTypeName = "crm",
    run: RunOptions | None = None,
    notify: Callable[[str], None] | None = None,
) -> Match:
    """Compare the IDs of a CRM with those that a web site sends, and recommend the settings by which most match.

    `crm` and `site` are files as `convert` takes them; `column` and `site_column` the columns with the IDs, the first
    of each when left out. All candidates are of one type, `type_`, but that addresses may become hashed ones. Raises
    `InputError` and `ColumnError` for what is wrong with the files, and `DestinationError` where the disk is full.
    """
    run, say = run or RunOptions(), notify or (lambda _: None)
    ours, theirs = _opened(crm, column), _opened(site, site_column)
    first = _first(ours)  # here, since some inputs can be read only once
    with Spill(_FOLDED, run.memory, run.spill_dir) as spill:
        warnings: list[Finding] = []
        for table, side in (("crm", ours), ("site", theirs)):
            spill.add(_NO_IDS, table)
            warnings += _read(side, spill, table, run)
            say(f"The IDs of the {'CRM' if table == 'crm' else 'site'} are read.")
        sample, is_whole = _sample(spill, "crm")
        site_sample, _ = _sample(spill, "site")
        _check_header(ours, sample, "--no-header", "--id")
        _check_header(theirs, site_sample, "--site-no-header", "--site-id")
        ids = _candidates(ours.column, type_, sample, site_sample)
        rows = min(len(sample), _MOST_FORMS // len(ids))
        trial = _Trial(spill, ids, first)
        trial.sample(sample.head(rows), is_whole=is_whole and rows == len(sample))
        say(f"{len(ids):,} candidates are tried.")
        trial.count()
        say("The best of them are counted.")
        trial.count_in_full()
        return trial.match(warnings)


def without_header(options: Input | str) -> Input:
    """Return the same input, with the first row of its text taken for one like the others.

    Its columns are called `column_1`, `column_2` and so on. Formats that name their columns by themselves do as before.
    """
    options = _input(options)
    origin = find_origins(options)[0]
    check_rereadable([origin], "its columns have to be counted first", "Copy it to a file first.")
    source = open_source(origin, options, ())
    if not source.has_header:
        return options
    names = tuple(f"column_{number}" for number in range(1, len(source.names) + 1))
    return options.model_copy(update={"header": False, "columns": names})


class _Side(NamedTuple):
    """The files of one side; `column` is that of the IDs, `named` whether it was asked for."""

    options: Input
    sources: Sequence[Source]
    column: str
    named: bool

    def text(self, source: Source) -> pl.Expr:
        """Return the ID (String) of a row, as it is, null where it is missing; as `Records.texts` has it."""
        schema = source.schema
        text = as_text(pl.col(self.column), self.column, schema[self.column])
        if self.options.null_values and schema[self.column] == pl.String:
            text = pl.when(~text.is_in(list(self.options.null_values))).then(text)
        return null_if_empty(text).alias("id")

    def tasks(self) -> Iterator[tuple[Source, Task]]:
        """Yield all files, piece by piece."""
        for source in self.sources:
            for task in source.blocks((self.column,)):
                yield source, task
            source.origin.check_unchanged()


def _input(options: Input | str) -> Input:
    return Input(path=(options,)) if isinstance(options, str) else options


def _opened(options: Input | str, column: str | None) -> _Side:
    options = _input(options)
    start()
    files = find_origins(options)
    name = column if column is not None else next(iter(open_source(files[0], options, ()).schema))
    sources = [open_source(file, options, (name,)) for file in files]
    for source in sources:
        check_id_type(name, source.schema[name])
    return _Side(options, sources, name, named=column is not None)


def _read(side: _Side, spill: Spill, table: str, run: RunOptions) -> Iterator[Finding]:
    """Add the IDs of one side to a table, in the order of the files; yield warnings."""
    workers = min(run.threads or os.cpu_count() or 1, _MOST_WORKERS)
    bad: Counter[str] = Counter()
    with ThreadPoolExecutor(workers, thread_name_prefix="match") as pool:
        under_way: deque[Future[_Ids]] = deque()

        def take() -> None:
            ids = under_way.popleft().result()
            spill.add(ids.ids, table)
            if ids.bad:
                bad[ids.path] += ids.bad

        try:
            for source, task in side.tasks():
                under_way.append(pool.submit(_ids_of, task, side.text(source)))
                if len(under_way) > workers:
                    take()
            while under_way:
                take()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for path, count in bad.items():
        rows = "1 row" if count == 1 else f"{count:,} rows"
        said = f"{rows} of '{path}' cannot be parsed: `convert` rejects them, and here they are left out."
        yield Finding("W-MATCH-ROWS", said)


class _Ids(NamedTuple):
    """The IDs of a piece of a file, and how many of its rows cannot be taken apart."""

    path: str
    ids: pl.DataFrame
    bad: int


def _ids_of(task: Task, text: pl.Expr) -> _Ids:
    """Return the IDs of a piece, without the rows that the engine cannot parse."""
    ids, block = all_rows(task.parse(), lambda frame: frame.select(text))
    return _Ids(block.origin.label, _rarely_repeated(ids.drop_nulls()), len(block.malformed))


def _rarely_repeated(ids: pl.DataFrame) -> pl.DataFrame:
    """Return IDs, each once where many are there more than once: one that is in most rows would fit no partition."""
    different = ids.select(pl.col("id").approx_n_unique()).item() if ids.height else 0
    return ids.unique() if different < _OFTEN * ids.height else ids


def _sample(spill: Spill, table: str) -> tuple[pl.Series, bool]:
    """Return some distinct IDs of a table, and whether these are all.

    They are those whose hashes are lowest: the same for any order of the rows, and any budget of memory.
    """
    found, count = [_NO_IDS], 0
    with contextlib.closing(spill.partitions(table)) as partitions:
        for (ids,) in partitions:
            found.append(ids.unique())
            count += found[-1].height
            if count > _MOST_SAMPLED:  # all others have higher hashes
                break
    ids = pl.concat(found)
    by_hash = ids.with_columns(hash=pl.Series(hashes_of(ids.select(_FOLDED).to_series()))).sort("hash", "id")
    return by_hash["id"].head(_MOST_SAMPLED).rechunk(), count <= _MOST_SAMPLED


def _check_header(side: _Side, sample: pl.Series, flag: str, column_flag: str) -> None:
    """Raise an error where there is no ID, or where what is taken for the name of the column is one most likely."""
    path = side.sources[0].origin.label
    if not len(sample):
        raise EmptyInputError(
            "E-MATCH-NO-IDS",
            f"There is no ID in the column that was read of '{path}'.",
            f"Name another one with {column_flag}, or say {flag} if the first row is no header.",
        )
    if side.sources[0].has_header and not side.named and _looks_like_one_of(side.column, sample):
        raise ColumnError(
            "E-MATCH-HEADER",
            f"The first row of '{path}' is taken for the names of columns, but looks like one with an ID.",
            f"Say {flag} if it is one, or else name the column with {column_flag}.",
        )


def _looks_like_one_of(name: str, sample: pl.Series) -> bool:
    """Say whether a text with digits in it has letters and digits where some ID has them, or the length of most."""
    if "@" in name:
        return True
    if sum(mark.isdigit() for mark in name) < 3:
        return False
    shapes = pl.concat([sample, pl.Series([name])]).str.replace_all(r"\d", "0").str.replace_all(r"\p{L}", "a")
    if shapes.item(-1) in shapes.head(len(sample)):
        return True
    return len(name) >= 8 and 2 * int((sample.str.len_chars() == len(name)).sum()) > len(sample)


def _first(side: _Side) -> pl.DataFrame:
    """Return the first IDs, as `id`: what candidates make of them shows whether bare numbers are IDs, as in `plan`."""
    if first := first_rows(side.sources, (side.column,), _SURVEYED):
        source, frame = first
        with contextlib.suppress(ConverterError):  # it is raised again where the file is read
            return collected(source.origin, frame.select(side.text(source)))
    return _NO_IDS


def _candidates(column: str, type_: IdTypeName, sample: pl.Series, site: pl.Series) -> list[Id]:
    """Return candidates, the simplest first; that which says nothing, and that which changes nothing, among them."""
    as_is = as_it_is(column, type_)
    plain, *others = (id_ for id_ in candidates(column, type_, sample, site, _MOST_CANDIDATES) if id_ != as_is)
    if any(id_.hash for id_ in others):
        check_hashing()
    return [plain, as_is, *others]


class _Trial:
    """Candidates while it is counted how many IDs match by each.

    A candidate is known by its place in `ids`; tables of what they make of IDs have that as `number`.
    """

    def __init__(self, spill: Spill, ids: Sequence[Id], first: pl.DataFrame) -> None:
        self._spill = spill
        self._ids = ids
        self._numbers: list[int] = []
        self._judged: dict[tuple[str, bool], list[int]] = {}
        """The candidates that are judged alike: by their type, and by whether bare numbers may be cards."""
        for number, id_ in enumerate(ids):
            cards = not numbers_are_ids(_made(first, number, id_)["id"].fill_null(""))
            self._judged.setdefault((id_.type, cards), []).append(number)
        self._sampled = 0
        self._is_whole = False
        self._crm = self._site = 0
        self._hits: Counts = np.zeros(len(ids), np.int64)
        self._exact: dict[int, int] = {}
        self._alike = 0
        self._examples = pl.DataFrame(schema={"fold": pl.String(), "id": pl.List(pl.String())})
        self._types: Counter[int] = Counter()

    def sample(self, sample: pl.Series, *, is_whole: bool) -> None:
        """Take in what the candidates make of a sample; those that make the same of it as a simpler one are left out.

        `is_whole` says whether the sample is all there is.
        """
        self._sampled, self._is_whole = len(sample), is_whole
        self._spill.add(_NONE_MADE, "sample")
        seen = set()
        for number, id_ in enumerate(self._ids):
            made = _made(sample.to_frame("id"), number, id_)
            digest = hashlib.sha256(hashes_of(made["id"]).tobytes()).digest()
            if digest not in seen or number == _AS_IT_IS:
                seen.add(digest)
                self._numbers.append(number)
                self._spill.add(made.drop_nulls(), "sample")

    def count(self) -> None:
        """Count the IDs of both sides, and what can be said of them in one pass."""
        as_is = pl.lit(_AS_IT_IS, pl.UInt16).alias("number")
        matched = 0
        for crm, site, made in self._spill.partitions("crm", "site", "sample"):
            ids, known = crm.unique(), site.unique()
            self._crm += ids.height
            self._site += known.height
            matched += int(self._matched(ids.with_columns(as_is), known)[_AS_IT_IS])
            self._hits += self._matched(made.unique(), known)
            self._look_at_case(ids)
            self._look_at_types(ids)
        self._exact = dict(enumerate(self._hits.tolist())) if self._is_whole else {}
        self._exact[_AS_IT_IS] = matched

    def count_in_full(self) -> None:
        """Count the candidates that are best by the sample again, by all IDs."""
        best = [number for number in self._best(self._hits) if number not in self._exact][:_COUNTED_IN_FULL]
        best = [number for number in best if self._hits[number]] or [number for number in best if number == _PLAIN]
        if not best or self._is_whole:
            return
        self._spill.add(_NONE_MADE, "made")
        for (crm,) in self._spill.partitions("crm"):
            ids = crm.unique()
            for number in best:
                self._spill.add(_made(ids, number, self._ids[number]).drop_nulls(), "made")
        counts = np.zeros(len(self._ids), np.int64)
        for made, site in self._spill.partitions("made", "site"):
            counts += self._matched(made.unique(), site)
        self._exact |= {number: int(counts[number]) for number in best}

    def match(self, warnings: Sequence[Finding]) -> Match:
        """Return what was found."""
        exact = np.full(len(self._ids), -1, np.int64)
        exact[list(self._exact)] = list(self._exact.values())
        recommended = self._tried(self._best(exact)[0])
        tried = sorted(map(self._tried, self._numbers), key=lambda each: -each.matched)
        types = {RECOGNIZED[place]: count for place, count in sorted(self._types.items())}
        return Match(
            self._crm,
            self._site,
            self._tried(_AS_IT_IS),
            recommended,
            tried,
            Collisions(self._alike, _masked(self._examples)),
            types,
            [*warnings, *self._advice(recommended, types)],
        )

    def _best(self, counts: Counts) -> list[int]:
        """Return the candidates, those that match most first, and of these the simplest."""
        return sorted(self._numbers, key=lambda number: (-counts[number], number))

    def _tried(self, number: int) -> Tried:
        id_, is_exact = self._ids[number], number in self._exact
        share = self._hits[number] / self._sampled
        matched = self._exact[number] if is_exact else round(share * self._crm)
        settings = {"column": id_.column, "type": id_.type, **settings_of(id_)}
        steps = [step.words for step in steps_of(id_)]
        return Tried(settings, steps, matched, round(matched / self._crm, 6), is_exact)

    def _matched(self, made: pl.DataFrame, site: pl.DataFrame) -> Counts:
        """Count, for each candidate, what it makes of IDs and the site has too; what a rule on IDs rejects not.

        `made` has no repetitions.
        """
        found = made.join(site, on="id", how="semi")
        counts = np.zeros(len(self._ids), np.int64)
        for (name, cards), numbers in self._judged.items():
            alike = found.filter(pl.col("number").is_in(numbers)) if len(self._judged) > 1 else found
            if alike.height:
                accepted = alike.filter(_accepted(alike, name, cards=cards))
                counts += np.bincount(accepted["number"].to_numpy(), minlength=len(self._ids))
        return counts

    def _look_at_case(self, ids: pl.DataFrame) -> None:
        """Count distinct IDs that differ from others by case alone."""
        ids = ids.with_columns(fold=_FOLDED)
        if (ids["fold"] == ids["id"]).all():
            return  # as with numbers, and looking for equal ones takes longer
        alike = ids.filter(pl.col("fold").is_duplicated())
        self._alike += alike.height
        examples = alike.group_by("fold").agg(pl.col("id").sort().head(_MOST_ALIKE))
        self._examples = pl.concat([self._examples, examples]).sort("fold").head(_MOST_EXAMPLES)

    def _look_at_types(self, ids: pl.DataFrame) -> None:
        """Count distinct IDs that have the form of another type."""
        trimmed = ids.select(pl.col("id").str.strip_chars(TRIMMED))
        trimmed = trimmed.filter(pl.col("id").str.len_chars().is_in(_FORM_LENGTHS))
        places = trimmed.select(recognize_type(pl.col("id")).alias("place"))["place"]
        known = Counter({place: int((places == place).sum()) for place in range(len(FORMS))})
        own = {name for name in FORMS if ID_TYPES[name].groups == ID_TYPES[self._ids[_PLAIN].type].groups}
        self._types += Counter({place: count for place, count in known.items() if RECOGNIZED[place] not in own})

    def _advice(self, recommended: Tried, types: Mapping[str, int]) -> Iterator[Finding]:
        """Say what the figures do not."""
        for name, count in types.items():
            if 2 * count > self._crm:
                said = f"Most IDs of the CRM look like IDs of type {name}."
                yield Finding("W-MATCH-TYPE", said, f"If they are, say --id-type {name}.")
        if not recommended.matched:
            said = "No ID matches, however it is written: most likely the site's IDs are of another system."
            yield Finding("W-MATCH-NONE", said)


def _made(ids: pl.DataFrame, number: int, id_: Id) -> pl.DataFrame:
    """Return what a candidate makes of IDs, in their order, null where nothing is left."""
    return ids.select(normalize_id(id_, pl.col("id")).alias("id"), pl.lit(number, pl.UInt16).alias("number"))


def _accepted(made: pl.DataFrame, type_: str, *, cards: bool) -> pl.Series:
    """Say which normalized IDs no rule on IDs of a data file rejects."""
    judged = made.select(id0="id").with_columns(personal0=personal_kind(pl.col("id0"), cards=cards))
    return judged.select(rules.first_reason(rules.id_rules(ID_TYPES[type_])).is_null()).to_series()


def _masked(examples: pl.DataFrame) -> list[list[str]]:
    """Return examples of IDs that differ by case alone, masked."""
    ids = examples.explode("id").rechunk().with_columns(mask(pl.col("id")))
    return ids.group_by("fold", maintain_order=True).agg("id")["id"].to_list()
