"""The numbers of the receipt that Audience Manager sends by mail once it has processed inbound files, as named values.

A receipt is about all files of a partner that were processed together, which may be of several runs and of others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

RECEIPT_PAGE = "integration/sending-audience-data/batch-data-transfer-explained/inbound-receipt-message.md"
STATUS_PAGE = "reporting/onboarding-status-report.md"


class Figure(NamedTuple):
    """A number of the receipt: its key in data, its label in the mail, what it means, and its page.

    `advice` says what to do where it is not what it should be. `others` are further labels that it has had.
    """

    key: str
    label: str
    meaning: str
    advice: str = ""
    others: tuple[str, ...] = ()
    page: str = RECEIPT_PAGE


RECORDS_RECEIVED = Figure(
    "records_received",
    "Records received",
    "Lines that arrived, in all files of the receipt; in most cases all lines that were sent.",
    "Compare the files: the receipt may be about more or fewer files than the reports, or a file arrived incomplete.",
    ("Number of records received", "Total records received"),
)
FORMAT_ERRORS = Figure(
    "format_errors",
    "Format Errors",
    "Lines that Audience Manager could not parse.",
    "Check the files that were sent with `aam-inbound check`; switch on error samples in the onboarding status report.",
    ("Format Error",),
)
INVALID_AAM_ID = Figure(
    "invalid_aam_id",
    "Invalid AAM ID",
    "IDs that should be Audience Manager's own (UUID) and do not have 38 digits.",
    "Check `id.type` and the first data source in the file names: a file of other IDs has their own data source.",
    ("Invalid AAM IDs",),
)
INVALID_DEVICE_ID = Figure(
    "invalid_device_id",
    "Invalid Device ID",
    "Device IDs that are not of the form of their global data source.",
    "Check that `id.type` and the data source in the file names are of the same kind of device.",
    ("Invalid Device IDs",),
    STATUS_PAGE,
)
NO_MATCHING_AAM_ID = Figure(
    "no_matching_aam_id",
    "No Matching AAM ID",
    "Users that Audience Manager does not know, since their IDs have not been synchronized.",
    "Synchronize these IDs first, and compare them with those that are known: `aam-inbound match`. The beta "
    "environment matches no ID at all (T1).",
    ("No Matching AAM IDs",),
)
NO_TRAIT_REALIZED = Figure(
    "no_trait_realized",
    "No Trait Realized",
    "Lines of which no signal belongs to a trait.",
    "Define trait rules for the keys that are sent, spelled as they are sent; a new trait takes 4 hours (T3).",
    ("No Traits Realized",),
)
RECORDS_PROCESSED = Figure(
    "records_processed",
    "Records processed",
    "Lines that were processed; in most cases as many as were received.",
    "If it stays lower, ask Adobe's customer care, with this receipt.",
    ("Total records processed",),
)
STORED_RECORDS = Figure(
    "stored_records",
    "Stored Records",
    "Lines that led to data: those processed, less those of the four counts of errors. Device IDs of mobile devices "
    "that match no user count as stored as well.",
    "See the counts of errors.",
    ("Stored Record", "Records stored"),
)
TOTAL_DEVICES = Figure(
    "total_devices", "Total devices", "Devices for which data was stored; a user has none, one or several."
)
TOTAL_SIGNALS = Figure(
    "total_signals",
    "Total signals",
    "Signals in the lines that were processed.",
    "Where no lines are missing, values may have been split or joined: check the files with `aam-inbound check`.",
)
TOTAL_UNUSED_SIGNALS = Figure(
    "total_unused_signals",
    "Total unused signals",
    "Signals that belong to no trait.",
    "Define trait rules for these keys and values, or do not send them.",
)
TOTAL_REALIZED_TRAITS = Figure(
    "total_realized_traits", "Total realized traits", "Traits that users were given, because of their signals."
)
TOTAL_REMOVED_TRAITS = Figure(
    "total_removed_traits",
    "Total removed traits",
    "Traits that were taken from users: by `overwrite` files, of users who no longer have them, or by `d_unsid`.",
    "If this was not intended, check `output.mode` and that the input was complete.",
)
TRAITS_FAILED_VALIDATION = Figure(
    "total_traits_failed_validation",
    "Total traits failed validation",
    "Traits that do not belong to the data source that the file name declares.",
    "Check the trait IDs in `record.traits`, and the data source that they belong to: `output.target`.",
)
USERS_FAILED_VALIDATION = Figure(
    "total_users_failed_validation",
    "Total users that have traits which failed validation",
    "Lines with traits that do not belong to the data source that the file name declares.",
    "Check the trait IDs in `record.traits`, and the data source that they belong to: `output.target`.",
)
INVALID_LINES = Figure(
    "invalid_lines",
    "Invalid lines",
    "Lines that could not be used, in an older form of the receipt.",
    FORMAT_ERRORS.advice,
)
PERCENT_SUCCESS = Figure(
    "percent_success",
    "Percent Success",
    "The share of the lines of the files that was processed.",
    "See the counts of errors.",
    page=STATUS_PAGE,
)

FIGURES = (
    RECORDS_RECEIVED,
    FORMAT_ERRORS,
    INVALID_LINES,
    INVALID_AAM_ID,
    INVALID_DEVICE_ID,
    NO_MATCHING_AAM_ID,
    NO_TRAIT_REALIZED,
    RECORDS_PROCESSED,
    STORED_RECORDS,
    PERCENT_SUCCESS,
    TOTAL_DEVICES,
    TOTAL_SIGNALS,
    TOTAL_UNUSED_SIGNALS,
    TOTAL_REALIZED_TRAITS,
    TOTAL_REMOVED_TRAITS,
    TRAITS_FAILED_VALIDATION,
    USERS_FAILED_VALIDATION,
)
"""All numbers, in the order of the mail."""

ERRORS = (FORMAT_ERRORS, INVALID_AAM_ID, NO_MATCHING_AAM_ID, NO_TRAIT_REALIZED)
"""The counts that, taken from the records processed, leave those stored."""

FILE_LABELS = ("File name", "File names", "File name(s)")
"""What stands before the names of the files."""

START_LABEL, END_LABEL = "Job start time", "Job end time"

SENDER = "aam-noreply@adobe.com"
"""The sender of receipts; they are often forwarded, so that it proves nothing."""


def folded(label: str) -> str:
    """Return a label as labels are compared: its letters and digits, in lower case."""
    return re.sub(r"[^a-z0-9]+", "", label.casefold())


_BY_LABEL = {folded(label): figure for figure in FIGURES for label in (figure.label, *figure.others)}


def figure_of(label: str) -> Figure | None:
    """Return the number that a label of a mail stands for, in any case and with any spaces; `None` for unknown ones."""
    return _BY_LABEL.get(folded(label))


def stored_by(figures: Mapping[str, float]) -> float | None:
    """Return how many records should be stored by the other numbers, by their keys; `None` where one is missing.

    The page of the receipt has the rule, and a sample that does not follow it exactly: a difference is not an error.
    """
    needed = [RECORDS_PROCESSED.key, *(each.key for each in ERRORS)]
    if not all(key in figures for key in needed):
        return None
    processed, *errors = (figures[key] for key in needed)
    return processed - sum(errors)
