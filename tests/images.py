"""Builds what a Containerfile describes without a container engine, and runs it: for root, on Linux.

    unshare --mount python -m tests.images CONTAINERFILE CONTEXT WORK [BIND:PATH …] -- ARGUMENT …

Each stage is an overlay over the file system of this machine, which stands for the base image. Instructions are carried out
in it by chroot. What is built is run as its USER, on a root that is read-only, with an empty folder for temporary files.
Nothing stays mounted, since all mounts are in a namespace of this process.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_OF_NETWORK = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
"""Variables that builds take over, as container engines do with some of them."""


@dataclass
class Stage:
    """A stage of a build: where its file system is mounted, and what its instructions have set."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    user: str = "0:0"
    folder: str = "/"
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
        """Run a command in the file system of the stage, as its user; return the exit code."""
        inside = f'cd {shlex.quote(self.folder)} && exec "$@"'
        line = [
            shutil.which("chroot") or "/usr/sbin/chroot",
            f"--userspec={self.user}",
            "--groups=",
            str(self.root),
            "/bin/sh",
            "-c",
            inside,
            "sh",
            *command,
        ]
        variables = {**self.environment, **(environment or {})}
        return subprocess.run(line, env=variables, check=False).returncode


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Containerfile: a keyword, and what follows it."""
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        yield keyword, rest.strip()


def build(text: str, context: Path, work: Path) -> Stage:
    """Carry out the instructions; return the last stage. Raises `ValueError` for one that is not known here."""
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    inherited = {name: value for name, value in os.environ.items() if name.upper().startswith(_OF_NETWORK)}
    for keyword, rest in instructions(text):
        print(f"{keyword} {rest}", file=sys.stderr, flush=True)
        if keyword == "FROM":
            _, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(_overlay(work / f"stage{len(stages)}"))
            continue
        assert stage, "FROM comes first"
        if keyword == "RUN":
            if code := stage.run(["/bin/sh", "-c", rest], inherited):
                raise RuntimeError(f"RUN {rest}: {code}")
        elif keyword == "COPY":
            *options, source, target = rest.split()
            base = stages[options[0].removeprefix("--from=")].root if options else context
            shutil.copytree(base / source.lstrip("/"), stage.root / target.lstrip("/"), symlinks=True)
        elif keyword == "ENV":
            name, _, value = rest.partition("=")
            stage.environment[name] = value
        elif keyword == "USER":
            stage.user = rest
        elif keyword == "WORKDIR":
            stage.folder = rest
        elif keyword == "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        elif keyword == "CMD":
            stage.command = json.loads(rest)
        else:
            raise ValueError(keyword)
    assert stage
    return stage


def _overlay(folder: Path) -> Path:
    """Mount a file system that is this machine's, and whose changes are in a folder; return where."""
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for each in (upper, work, root):
        each.mkdir(parents=True)
    _mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay", str(root))
    _mount("-t", "proc", "proc", str(root / "proc"))
    _mount("--rbind", "/dev", str(root / "dev"))
    _mount("-t", "tmpfs", "tmpfs", str(root / "tmp"))
    return root


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def start(stage: Stage, binds: Sequence[str], arguments: Sequence[str]) -> int:
    """Run what was built, on a read-only root; `binds` are folders and where they are mounted."""
    for bind in binds:
        outside, _, inside = bind.partition(":")
        target = stage.root / inside.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        _mount("--bind", outside, str(target))
    _mount("-o", "remount,bind,ro", str(stage.root))
    try:
        (stage.root / "probe").touch()
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    else:
        raise RuntimeError("the root file system can be written")
    return stage.run([*stage.entrypoint, *(arguments or stage.command)])


def main() -> int:
    split = sys.argv.index("--")
    containerfile, context, work, *binds = sys.argv[1:split]
    stage = build(Path(containerfile).read_text(), Path(context), Path(work))
    codes = [
        start(stage, binds if number == 0 else [], shlex.split(line))
        for number, line in enumerate(sys.argv[split + 1 :])
    ]
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main())
