"""What the names of rules and steps that a report counts mean, so that it can be read without this program."""

from __future__ import annotations

from collections.abc import Sequence

from converter.columns.normalize import steps_of
from converter.jobs.sections.ids import Id
from converter.ledger import Ledger
from converter.spec import rules
from converter.spec.rules import IdRule, Rule

_OTHERS = [rule for rule in vars(rules).values() if isinstance(rule, Rule | IdRule)]


def meanings_of(ledger: Ledger, of_rows: Sequence[Rule], ids: Sequence[Id]) -> dict[str, dict[str, str]]:
    """Return the `code` and `text` of each name in a ledger, in order; `of_rows` are the rules on rows of the job.

    Steps of `ids` have no code.
    """
    known = {rule.name: {"code": rule.code, "text": rule.hint} for rule in (*_OTHERS, *of_rows)}
    steps = {step.name: {"code": "", "text": step.words} for id_ in ids for step in steps_of(id_)}
    counted = (ledger.rejected, ledger.skipped, ledger.signals_dropped, ledger.signals_changed)
    of_rules = {name for counts in counted for name in counts if name in known}
    of_steps = {name for name in ledger.ids_changed if name in steps}
    return {name: known[name] for name in sorted(of_rules)} | {name: steps[name] for name in sorted(of_steps)}
