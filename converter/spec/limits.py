"""Numbers that Audience Manager sets, each with its rule and page."""

from __future__ import annotations

from typing import NamedTuple

NAMES_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-s3-filenames.md"
CONTENTS_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-file-contents.md"
COMPRESSION_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-file-compression.md"
ID_SYNC_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/id-sync-file-based.md"
ID_SYNC_HTTP_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/id-sync-http.md"
IDS_PAGE = "reference/ids-in-aam.md"
GLOBAL_SOURCES_PAGE = "features/global-data-sources.md"
FAQ_PAGE = "faq/faq-inbound-data-ingestion.md"
HASHING_PAGE = "features/destinations/people-based-destinations-prerequisites.md"
COMBINED_PAGE = "features/destinations/people-based-destinations-workflow-combined.md"
USAGE_PAGE = "features/administration/usage-limits.md"
ENCRYPTION_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-file-encryption.md"
DERIVED_PAGE = "features/derived-signals.md"
ODC_PAGE = "integration/sending-audience-data/custom-partner-integrations.md"


class Limit(NamedTuple):
    """A number, its unit, the code of its rule and the page it comes from."""

    value: int
    unit: str
    code: str
    page: str


LINE_BYTES = Limit(102_400, "bytes", "C8", NAMES_PAGE)
"""A line with its newline *(ours: Adobe does not say whether the newline counts)*; Adobe drops longer lines."""

USER_LINES = Limit(200, "lines", "C7", CONTENTS_PAGE)
"""The lines of a user ID in a file, counted over all parts of a run *(ours)*; Adobe discards what comes after."""

PART_BYTES = Limit(1_000_000_000, "bytes", "Z1", COMPRESSION_PAGE)
"""A file as sent. Adobe says 3 GB on one page and 1 GB on another; the smaller limit is used *(ours)*."""

PART_BYTES_BEST = Limit(250_000_000, "bytes", "Z1", NAMES_PAGE)
"""The middle of the 200 to 300 MB that Adobe recommends for a file as sent."""

PART_RAW_BYTES = Limit(5_000_000_000, "bytes", "Z1", NAMES_PAGE)
"""A file before compression."""

PART_RAW_BYTES_BEST = Limit(1_000_000_000, "bytes", "Z1", NAMES_PAGE)
"""The size before compression that Adobe recommends."""

TIMESTAMP_DIGITS = Limit(10, "digits", "N2", NAMES_PAGE)
"""The timestamp in names: UNIX seconds, UTC."""

DERIVED_CHARACTERS = Limit(228, "characters", "C15", DERIVED_PAGE)
"""A key or a value of a derived signal: the limit of a form, so that longer ones are no reason to reject a line."""
