"""Where Audience Manager picks up files (section 5 of the rules: T1 to T5), and the path of a file there (N5)."""

from __future__ import annotations

import datetime
from typing import Literal, NamedTuple

from converter.spec.limits import NAMES_PAGE

Environment = Literal["production", "beta"]

FTP_NAMES_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-ftp-filenames.md"
BETA_PAGE = "reference/beta-environment.md"
COLLECTION_PAGE = "faq/faq-data-collection.md"


class Pickup(NamedTuple):
    """The servers of an environment: an S3 bucket, an FTP host, and an SFTP host where there is one."""

    bucket: str
    ftp_host: str
    sftp_host: str | None
    pages: tuple[str, ...]


PICKUPS: dict[Environment, Pickup] = {
    "production": Pickup(
        "demdex-s2s-clients",
        "ftp-in.demdex.com",
        "ftp-in-gtw.demdex.com",
        (NAMES_PAGE, FTP_NAMES_PAGE, COLLECTION_PAGE),
    ),
    "beta": Pickup("demdex-s2s-clients-sandbox-us-east-1", "sandbox-ftp-in.demdex.com", None, (NAMES_PAGE, BETA_PAGE)),
}

KEY_DAYS = 100
"""Access keys of Adobe's buckets that were not used for so many days are disabled (`COLLECTION_PAGE`, T3)."""

BETA_WARNING = (
    "The beta environment checks names and syntax only and always reports 'No matching AAM ID'; Adobe advises testing "
    "in production (T1)."
)
FTP_WARNING = "Adobe is phasing out FTP and creates no new accounts for it: use S3, or SFTP with an OpenSSH key (T)."


def key(name: str, partner: str, sent: datetime.date) -> str:
    """Return the S3 key of a file: `[PARTNER/]date=YYYY-MM-DD/NAME`, the day of sending in UTC (N5)."""
    return "/".join(filter(None, [partner, f"date={sent.isoformat()}", name]))


def server(environment: Environment, scheme: str) -> str | None:
    """Return the bucket or host of an environment for `s3`, `ftp`, `ftps` or `sftp`; `None` where it has none."""
    pickup = PICKUPS[environment]
    return {"s3": pickup.bucket, "ftp": pickup.ftp_host, "ftps": pickup.ftp_host, "sftp": pickup.sftp_host}.get(scheme)
