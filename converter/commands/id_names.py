"""What the names of columns say of IDs: whether they are those of people, and of which type."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from converter.spec.ids import OF_AUDIENCE_MANAGER


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ID_WORDS = _set(
    "id ids nr no num number nummer numero key code kennung uid uuid guid ref identifier hash pseudonym token"
)
_PERSON_WORDS = _set(
    "crm customer client user member account contact subscriber visitor person profile loyalty household party "
    "cust usr kunde kunden benutzer nutzer mitglied utilisateur abonne cliente usuario utente klant gebruiker "
    "external device cookie adobe dp universal"
)
_WHOLE_NAMES = _set(
    "crmid userid customerid clientid memberid accountid contactid subscriberid visitorid profileid externalid "
    "kundennummer kundennr kundenid kdnr custid cid uid uuid guid dpuuid ecid mcid mid idfa gaid aaid adid maid rida "
    "tifa lgudid hashedemail emailhash emailsha256 emailsha emailhashed sha256email"
)
_OTHER_WORDS = _set(
    "order transaction product sku item session store branch campaign row line index zip postal postcode plz invoice "
    "event batch file category segment segments trait traits region shop bestellung filiale article artikel amount "
    "revenue count total price age plan tier"
)
"""Words for other things than people, which have IDs as well."""
_TYPE_WORDS = {
    "idfa": "idfa",
    "gaid": "gaid",
    "aaid": "gaid",
    "rida": "rida",
    "roku": "rida",
    "fire": "fire",
    "afai": "fire",
    "tifa": "tifa",
    "samsung": "tifa",
    "lgudid": "lgudid",
    "lg": "lgudid",
    "vizio": "vizio",
}
"""Words in names of columns that say which device an ID is of."""
_OF_UUID_FORM = frozenset(("idfa", "gaid", "rida", "fire", "lgudid"))
_DEVICE_WORDS = _set("ad advertising advertiser device mobile maid adid")
_EMAIL_WORDS = _set("email mail e sha sha256 hashed hash hem")
_ECID_WORDS = _set("ecid mcid mid experience marketing")


def rating_of(name: str, words: Sequence[str]) -> int:
    """Return how clearly a name with these words says that a column holds the IDs of people: from -4 to 4."""
    found, joined = set(words), "".join(words)
    if joined in _WHOLE_NAMES or (found & _PERSON_WORDS and found & _ID_WORDS and not found & _OTHER_WORDS):
        return 4
    if found & _OTHER_WORDS:
        return -4
    return 2 if found & _ID_WORDS or found & _PERSON_WORDS or name.lower().endswith("id") else 0


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case: `crmId`, `CRM_ID` and `crm id` are the same two."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(mark for mark in plain if not unicodedata.combining(mark))
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", plain)]


def type_of_forms(forms: Mapping[str, float], words: Collection[str], least: float) -> str:
    """Return the type of the IDs of a column; `crm` where they have no other one for certain.

    `forms` are the shares of IDs that have the form of a type, of which `least` is enough.
    """
    of_device = forms.get("gaid", 0) + forms.get("idfa", 0) >= least
    if forms.get("uuid", 0) >= least:
        return "ecid" if _ECID_WORDS & set(words) else OF_AUDIENCE_MANAGER[0]
    if forms.get("hashed_email", 0) >= least and (_EMAIL_WORDS & set(words) or "email" in "".join(words)):
        return "hashed_email"
    said = next((type_ for word, type_ in _TYPE_WORDS.items() if word in words), None)
    if of_device and said in _OF_UUID_FORM:
        return str(said)
    if of_device and _DEVICE_WORDS & set(words):
        return "idfa" if forms.get("idfa", 0) >= forms.get("gaid", 0) else "gaid"
    return "crm"
