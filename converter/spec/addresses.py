"""The address that synchronizes an ID by HTTP (`limits.ID_SYNC_HTTP_PAGE`); in an e-mail it serves as an image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

MACRO = "${DD_UUID}"
"""What Audience Manager replaces in a redirect, by its own ID of the visitor."""

_START = "https://dpm.demdex.net/ibs:"
_ABSOLUTE = re.compile(r"https?://[^\s/?#\x00-\x1f\x7f]+[^\s\x00-\x1f\x7f]*", re.IGNORECASE)
_CONSENT = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class SyncAddress:
    """The address for the IDs of a data source: each, percent-encoded, stands between `before` and `after`.

    `dpid` is the data source. `redirect` is where Audience Manager sends the browser on to, an absolute address, not
    encoded, with the macro `${DD_UUID}`. `gdpr` is 1 where the GDPR applies and 0 where it does not, `gdpr_consent`
    the consent as URL-safe Base64; they come together.

    Raises `ValueError`, with a sentence, for what Audience Manager would not take.
    """

    dpid: int
    redirect: str = ""
    gdpr: int | None = None
    gdpr_consent: str = ""

    def __post_init__(self) -> None:
        if self.dpid < 1:
            raise ValueError("The data source is at least 1: IDs of data source 0 are Audience Manager's own.")
        if self.redirect and not _ABSOLUTE.fullmatch(self.redirect):
            raise ValueError(
                "The redirect must be a whole address, http:// or https:// and without spaces; it is encoded here."
            )
        if self.redirect and MACRO not in self.redirect:
            raise ValueError(
                f"The redirect must hold the macro {MACRO}, which becomes Audience Manager's ID: in a shell, put the "
                "redirect in single quotes, or the macro is taken out."
            )
        if (self.gdpr is None) != (not self.gdpr_consent):
            raise ValueError("gdpr and gdpr_consent can only be used together.")
        if self.gdpr not in (None, 0, 1):
            raise ValueError("gdpr is 1 where the GDPR applies, and 0 where it does not.")
        if self.gdpr_consent and not _CONSENT.fullmatch(self.gdpr_consent):
            raise ValueError("gdpr_consent must be URL-safe Base64: letters, digits and - _ . only.")

    @property
    def before(self) -> str:
        """What stands before the ID."""
        return f"{_START}dpid={self.dpid}&dpuuid="

    @property
    def after(self) -> str:
        """What stands behind the ID."""
        redirect = f"&redir={quote(self.redirect, safe='')}" if self.redirect else ""
        consent = "" if self.gdpr is None else f"&gdpr={self.gdpr}&gdpr_consent={self.gdpr_consent}"
        return redirect + consent
