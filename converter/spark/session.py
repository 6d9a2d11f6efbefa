"""The session of Spark that a run uses, and what is wrong with an installation that cannot have one."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from converter.errors import ConverterError, JobError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LEAST_SPARK, _LEAST_JAVA = 4, 17
_JAVA_SECONDS = 60
_REMOTE = "sc://"
_CONNECT_PORT = 15002
_CONNECT_SECONDS = 30
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")  # by which gRPC connects, if they are set


def open_session(master: str | None = None) -> SparkSession:
    """Return a session of Spark: the one that there is, or a new one at `master`.

    `master` is a URL such as `local[4]`, `spark://HOST:PORT`, `yarn`, or `sc://HOST:PORT` for Spark Connect; by default
    what the configuration of Spark says (`spark-submit`, `SPARK_REMOTE`). Raises `JobError` where Spark or Java is
    missing or too old, and `ConverterError` where no session can be opened.
    """
    check_package()
    from pyspark.errors import PySparkException  # here, since it takes a while, and may not be installed
    from pyspark.sql import SparkSession

    is_remote = (master or os.environ.get("SPARK_REMOTE", "")).startswith(_REMOTE)
    if not is_remote:
        if SparkSession.getActiveSession() is None:
            check_java()
        if (master or "local").startswith("local"):  # the workers are on this machine: they have the same Python
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("aam-inbound").config("spark.ui.showConsoleProgress", "false")
    if master:
        builder = builder.remote(master) if is_remote else builder.master(master)
    handler = signal.getsignal(signal.SIGINT)
    try:
        if is_remote:
            _check_reachable(master or os.environ["SPARK_REMOTE"])
        session = builder.getOrCreate()
        check_spark(session.version)
    except (PySparkException, RuntimeError, OSError, ValueError) as error:
        raise ConverterError(
            "E-SPARK-SESSION",
            f"There is no session of Spark{f' at {master}' if master else ''} ({type(error).__name__}).",
            "Check the URL, and that the cluster runs; --debug shows what Spark says.",
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():  # Spark sets one of its own
            signal.signal(signal.SIGINT, handler)
    return session


def _check_reachable(url: str) -> None:
    """Raise `OSError` where nothing listens at a URL of Spark Connect, whose client would try for 15 minutes."""
    if any(os.environ.get(name) for name in _PROXIES):
        return
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or _CONNECT_PORT), _CONNECT_SECONDS):
        pass


def check_package() -> None:
    """Raise `JobError` where Spark's package for Python is missing or too old."""
    if importlib.util.find_spec("pyspark") is None:
        raise JobError(
            "E-SPARK-MISSING",
            "Spark's package for Python is not installed.",
            "Install it, in the version of the cluster: pip install 'aam-inbound-converter[spark]'.",
        )
    import pyspark

    check_spark(pyspark.__version__)


def check_spark(version: str) -> None:
    """Raise `JobError` where a version of Spark is too old."""
    if int(version.partition(".")[0]) < _LEAST_SPARK:
        raise JobError(
            "E-SPARK-VERSION",
            f"Spark is of version {version}, but {_LEAST_SPARK} is needed at least.",
            "Use a newer cluster, with the same version of the package pyspark.",
        )


def check_java() -> None:
    """Raise `JobError` where there is no Java, or one that Spark cannot use."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    hint = f"Install Java {_LEAST_JAVA} or later, or set JAVA_HOME (on Debian: openjdk-17-jre-headless)."
    try:
        answer = subprocess.run(  # noqa: S603 - the program that Spark itself runs
            [java or "java", "-version"], capture_output=True, text=True, timeout=_JAVA_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise JobError("E-SPARK-JAVA", "Spark needs Java, which cannot be run.", hint) from error
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    if found and int(found[1]) < _LEAST_JAVA:
        message = f"Spark needs Java {_LEAST_JAVA} or later, but '{java}' is of version {found[1]}."
        raise JobError("E-SPARK-JAVA", message, hint)
