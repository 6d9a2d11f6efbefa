"""Invisible names: those of parts on their way, and those by which a run claims the names of its parts.

- `NAME.<digest>SUFFIX` is a part on its way; `digest` is that of the job, 12 hexadecimal digits.
- `NAME.<digest>.<attempt>SUFFIX` is one that several processes may try to send, each under a name of its own.
- `STEM.<digest>.<token>.claimSUFFIX` claims all names that begin with the stem; `token` is the run's.
- `NAME.processed`, or `.processed` in place of the extension, is a part that Audience Manager has processed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from converter.errors import Finding
from converter.spec.names import FileName

PROCESSED = ".processed"
_DIGEST = r"\.(?P<digest>[0-9a-f]{12})"
_CLAIM = re.compile(rf"(?P<name>.+){_DIGEST}\.(?P<token>[0-9a-f]+)\.claim.*")
_PARTIAL = re.compile(rf"(?P<name>.+){_DIGEST}.+")


@dataclass(frozen=True)
class Owner:
    """The owner of a partial name: the digest of its job, and a token that is different for each run.

    `attempt` is different for each process that sends parts of the run, where there are several.
    """

    digest: str = field(default_factory=lambda: secrets.token_hex(6))
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    attempt: str = ""

    def attempting(self) -> Owner:
        """Return the same owner, for a process that sends parts which another one may try to send as well."""
        return replace(self, attempt=secrets.token_hex(4))

    def partial(self, name: str, suffix: str) -> str:
        """Return the name of a part on its way; without a suffix, that is its final name."""
        attempt = f".{self.attempt}" if self.attempt else ""
        return f"{name}.{self.digest}{attempt}{suffix}" if suffix else name

    def claim(self, name: FileName, suffix: str) -> str:
        """Return the name of a claim to the names of a run."""
        return f"{name.stem}.{self.digest}.{self.token}.claim{suffix}"

    def probe(self, name: FileName, suffix: str, number: int) -> str:
        """Return a name for a file that is written to test the destination."""
        return f"{name.probe}.{self.digest}.{self.token}.{number}{suffix}"

    def is_probe_of_another_run(self, found: str, name: FileName) -> bool:
        """Say whether a name is what `probe` gave another run of the same job."""
        start = f"{name.probe}.{self.digest}."
        return found.startswith(start) and not found.startswith(f"{start}{self.token}.")


class ListedName(NamedTuple):
    """What a name in a listing is to a run: a published part, one on its way, or a claim; and whose."""

    kind: Literal["visible", "partial", "claim"]
    digest: str = ""
    token: str = ""


def parse_listed(listed: str, name: FileName) -> ListedName | None:
    """Return what a name in a listing is to the run of `name`, whatever run made it; None where it is of no concern."""
    if not listed.startswith(name.stem):
        return None
    if name.has_part(listed.removesuffix(PROCESSED)):
        return ListedName("visible")
    if (match := _CLAIM.fullmatch(listed)) and match["name"] == name.stem:
        return ListedName("claim", match["digest"], match["token"])
    if (match := _PARTIAL.fullmatch(listed)) and name.has_part(match["name"]):
        return ListedName("partial", match["digest"])
    return None


def processed_names(name: str) -> Iterator[str]:
    """Yield the names that Audience Manager may have given a part that it has processed."""
    yield name + PROCESSED
    base, dot, extension = name.rpartition(".")
    if dot and not extension.isdigit() and extension not in ("sync", "overwrite"):
        yield base + PROCESSED


def find_processed(names: Collection[str], url: str) -> Iterator[Finding]:
    """Say how many inbound files of a listing Audience Manager has processed, if there are any, and how many wait."""
    processed = [each for each in names if each.endswith(PROCESSED)]
    waiting = [found for each in names if (found := _parsed(each))]
    if processed:
        oldest = f", the oldest of them '{min(waiting, key=lambda each: each.timestamp)}'" if waiting else ""
        yield Finding(
            "",
            f"Files at '{url}' that Audience Manager has processed ({PROCESSED}): {len(processed):,}. "
            f"Files that wait: {len(waiting):,}{oldest}.",
        )


def _parsed(name: str) -> FileName | None:
    try:
        return FileName.parse(name)
    except ValueError:
        return None


def find_obstacles(
    names: Collection[str], name: FileName, url: str, owner: Owner, *, own: bool, visible: bool
) -> Iterator[Finding]:
    """Find what keeps a run from using its names, among the `names` listed at a destination.

    With `own`, invisible names of the same job's runs are no obstacle; with `visible`, neither are final names. Names
    of this run never are.
    """
    dead = set(dead_claims(names, name, owner))
    if not own and (lost := next((each for each in sorted(set(names) - dead) if _is_lost(each, name, owner)), None)):
        yield Finding(
            "W-RUN-UNFINISHED",
            f"'{lost}' is in '{url}': an earlier run of this job was killed, and its journal is not in report.dir.",
            "If that folder was moved, bring it back to finish that run with --resume; else remove the file.",
        )
    for each in sorted(names):
        listed = parse_listed(each, name)
        if (
            listed is None
            or (own and listed.digest == owner.digest)
            or (listed.digest, listed.token) == (owner.digest, owner.token)
        ):
            continue
        if listed.kind != "visible":
            yield name_in_use(each, url)
        elif not visible:
            yield Finding(
                "E-NAME-TAKEN",
                f"'{each}' is in '{url}' already, and nothing is ever overwritten.",
                "Finish the run that began it with --resume, leave output.timestamp out, or use another one (N2).",
            )


def dead_claims(names: Collection[str], name: FileName, owner: Owner) -> Iterator[str]:
    """Yield claims to other names by runs of this job that have no part there: they died early, or have just begun."""
    for each in names:
        claim = _CLAIM.fullmatch(each)
        if claim is None or claim["digest"] != owner.digest or claim["token"] == owner.token:
            continue
        if claim["name"] != name.stem and not any(other != each and other.startswith(claim["name"]) for other in names):
            yield each


def _is_lost(listed: str, name: FileName, owner: Owner) -> bool:
    """Return whether a name is that of a part on its way, or a claim, of another run of the same job."""
    match, claim = _PARTIAL.fullmatch(listed), _CLAIM.fullmatch(listed)
    if match is None or match["digest"] != owner.digest or parse_listed(listed, name):
        return False
    if claim and claim["token"] == owner.token:  # of this run, to the names of another one of its sets
        return False
    try:
        FileName.parse(match["name"])
    except ValueError:
        return False
    return True


def name_in_use(listed: str, url: str) -> Finding:
    """Return the finding that an invisible name shows another run."""
    return Finding(
        "E-NAME-IN-USE",
        f"'{listed}' is in '{url}': a run with this name is under way, or was killed.",
        "If none is under way, finish it with --resume, remove the file, or use another timestamp.",
    )
