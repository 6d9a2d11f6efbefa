"""Whether a server keeps the conditions that locks, journals and states rely on."""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import wait
from functools import partial

from converter.delivery.run_files.patient import PatientObjects
from converter.delivery.threads import run_in_thread
from converter.errors import DestinationError

_OTHER_ETAG = f'"{"0" * 32}"'
_REMOVE_SECONDS = 5.0


def check_conditions(objects: PatientObjects, prefix: str, code: str, setting: str) -> None:
    """Raise `DestinationError` unless the server keeps conditions below a prefix; leave nothing there.

    `code` is that of an error that it does not, and `setting` the key of the job that names the place.
    """
    key = f"{prefix}probe-{secrets.token_hex(8)}"
    probe = run_in_thread(partial(_is_kept, objects, key))
    try:
        wait([probe])
    except BaseException:  # a signal: what is on its way must not arrive after it was removed
        wait([probe], _REMOVE_SECONDS)
        raise
    is_kept = probe.result()
    if not is_kept:
        raise DestinationError(
            code,
            f"The server of {setting} ignores conditions (If-None-Match, If-Match): '{objects.url(key)}' was replaced, "
            "so nothing would keep two runs apart.",
            "Choose a folder, or another service: S3 itself keeps them.",
        )


def _is_kept(objects: PatientObjects, key: str) -> bool:
    """Write an object on conditions that are not met; return whether they are kept. It is removed."""
    try:
        objects.write(key, b"1", absent=True)
        return objects.write(key, b"2", absent=True) is None and objects.write(key, b"3", unchanged=_OTHER_ETAG) is None
    except DestinationError as error:
        if error.code != "E-S3-UNSUPPORTED":
            raise
        return False
    finally:
        with contextlib.suppress(DestinationError):  # an object that stays does no harm: its name is its own
            objects.remove([key])
