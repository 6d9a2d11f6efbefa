"""Whether a server keeps the conditions that locks, journals and states rely on."""

from __future__ import annotations

import contextlib
import secrets

from converter.delivery.run_files.patient import PatientObjects
from converter.errors import DestinationError

_OTHER_ETAG = f'"{"0" * 32}"'


def check_conditions(objects: PatientObjects, prefix: str, code: str, setting: str) -> None:
    """Raise `DestinationError` unless the server keeps conditions below a prefix; leave nothing there.

    `code` is that of an error that it does not, and `setting` the key of the job that names the place.
    """
    key = f"{prefix}probe-{secrets.token_hex(8)}"
    try:
        objects.write(key, b"1", absent=True)
        is_kept = (
            objects.write(key, b"2", absent=True) is None and objects.write(key, b"3", unchanged=_OTHER_ETAG) is None
        )
    except DestinationError as error:
        if error.code != "E-S3-UNSUPPORTED":
            raise
        is_kept = False
    finally:
        with contextlib.suppress(DestinationError):  # an object that stays does no harm: its name is its own
            objects.remove([key])
    if not is_kept:
        raise DestinationError(
            code,
            f"The server of {setting} ignores conditions (If-None-Match, If-Match): '{objects.url(key)}' was replaced, "
            "so nothing would keep two runs apart.",
            "Choose a folder, or another service: S3 itself keeps them.",
        )
