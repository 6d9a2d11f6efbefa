"""Where parts go: one module a scheme. How a part gets there whole, or not at all.

To add a destination, write a module with a class that keeps the protocol `Destination`, and add its scheme here.
"""

from __future__ import annotations

from converter.destinations.base import Destination
from converter.destinations.folder import FolderDestination
from converter.errors import JobError, nearest
from converter.job import mask_password

__all__ = ["SCHEMES", "Destination", "open_destination"]

SCHEMES = {"": FolderDestination, "file": FolderDestination}


def open_destination(url: str) -> Destination:
    """Return the destination that `output.to` names. Raises `JobError` where its scheme is not known."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return FolderDestination(url)
    if scheme.lower() not in SCHEMES:
        raise JobError(
            f"output.to is '{mask_password(url)}', but {scheme}:// is not a destination that can be written yet"
            f"{nearest(scheme, filter(None, SCHEMES)) or '.'}",
            "Write to a folder (--to FOLDER) and send the files from there.",
        )
    return SCHEMES[scheme.lower()](url[len(scheme) + 3 :])
