"""The URLs that synchronize IDs by HTTP (`limits.ID_SYNC_HTTP_PAGE`); in e-mails they are loaded as images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

MACRO = "${DD_UUID}"
"""The macro in a redirect that Audience Manager replaces by its own ID of the visitor."""

_START = "https://dpm.demdex.net/ibs:"
_ABSOLUTE = re.compile(r"https?://[^\s/?#\x00-\x1f\x7f]+[^\s\x00-\x1f\x7f]*", re.IGNORECASE)
_CONSENT = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class SyncAddress:
    """The URL for the IDs of a data source: `before`, the percent-encoded ID, `after`.

    `dpid` is the data source. `redirect` is where Audience Manager redirects the browser: an absolute URL, not encoded,
    with the macro `${DD_UUID}`. `gdpr` is 1 where the GDPR applies and 0 where it does not; `gdpr_consent` is the
    consent as URL-safe Base64. Both or neither are given.

    Raises `ValueError` with a message for values that Audience Manager would not accept.
    """

    dpid: int
    redirect: str = ""
    gdpr: int | None = None
    gdpr_consent: str = ""

    def __post_init__(self) -> None:
        if self.dpid < 1:
            raise ValueError("The data source must be at least 1: IDs of data source 0 are Audience Manager's own.")
        if self.redirect and not _ABSOLUTE.fullmatch(self.redirect):
            raise ValueError(
                "The redirect must be an absolute URL with http:// or https:// and without spaces; do not encode it."
            )
        if self.redirect and MACRO not in self.redirect:
            raise ValueError(
                f"The redirect must contain the macro {MACRO}, which Audience Manager replaces by its ID. In a shell, "
                "put the redirect in single quotes, or the shell removes the macro."
            )
        if (self.gdpr is None) != (not self.gdpr_consent):
            raise ValueError("gdpr and gdpr_consent can only be used together.")
        if self.gdpr not in (None, 0, 1):
            raise ValueError("gdpr must be 1 where the GDPR applies, or 0 where it does not.")
        if self.gdpr_consent and not _CONSENT.fullmatch(self.gdpr_consent):
            raise ValueError("gdpr_consent must be URL-safe Base64: letters, digits and - _ . only.")

    @property
    def before(self) -> str:
        """The text before the ID."""
        return f"{_START}dpid={self.dpid}&dpuuid="

    @property
    def after(self) -> str:
        """The text after the ID."""
        redirect = f"&redir={quote(self.redirect, safe='')}" if self.redirect else ""
        consent = "" if self.gdpr is None else f"&gdpr={self.gdpr}&gdpr_consent={self.gdpr_consent}"
        return redirect + consent
