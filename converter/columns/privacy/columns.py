"""Columns that hold personal data, by their names in seven languages.

The languages are English, German, French, Spanish, Italian, Dutch and Portuguese. A name is split into words:
`home_phone`, `homePhone`, `HOME-PHONE` and `homephone` are the same two words, and `Straße` and `strasse` the same one.
A compound word is split where all of its words are known here.

Then the words are searched for the phrases of the table, the longest first. Words after a phrase must be known not to
change its meaning: `email_1` and `phone_home` are an address and a number, `email_frequency` and `phone_brand` are not.
Before it may be any word except one that changes its meaning: `has_email`, `hashed_email`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import NamedTuple

_LONGEST_WORD = 60


class _Kind(NamedTuple):
    """A kind of personal data: its name in messages, and the phrases that mean it, separated by commas.

    Phrases after `ALONE` mean it only at the start, or after a word for a person: `name`, `customer_name`, but not
    `product_name`.
    """

    what: str
    phrases: str


_ALONE = "ALONE:"
_AMERICAN = ((re.compile("(?<=licen)ce"), "se"), (re.compile("(?<=i)sed"), "zed"))
"""British spellings, and the American ones that the table has."""

# Letters are without accents, and umlauts both as one letter and as two: `fuhrerschein`, `fuehrerschein`.
_KINDS = (
    _Kind(
        "an e-mail address",
        "email, e mail, mail, mail address, email id, e mail id, courriel, adresse electronique, correo, "
        "correo electronico, posta elettronica, correio eletronico, correio electronico",
    ),
    _Kind(
        "a phone number",
        "phone, telephone, tel, telno, telnr, fax, telefax, cellphone, landline, mobile number, mobile no, "
        "contact number, contact no, msisdn, "
        "telefon, handy, mobilfunk, mobiltelefon, mobilnummer, mobil nr, rufnummer, festnetz, "
        "numero de portable, numero portable, "
        "telefono, movil, celular, cellulare, telefoon, mobiel, telefone, telemovel, "
        "ALONE: mobile, cell, portable, mobil, gsm",
    ),
    _Kind("an IP address", "ip, ipv, remote addr, forwarded for"),
    _Kind(
        "a date of birth",
        "date of birth, day of birth, birth date, birth dt, birthday, dob, dob date, d o b, bday, "
        "geburts datum, geburtstag, geb datum, geb dat, "
        "date de naissance, date naissance, anniversaire, "
        "fecha de nacimiento, fecha nacimiento, cumpleanos, "
        "data di nascita, data nascita, compleanno, "
        "geboorte datum, verjaardag, "
        "data de nascimento, data nascimento, dt nascimento",
    ),
    _Kind(
        "the number of a person, such as that of an identity card or of a taxpayer",
        "ssn, social security, national id, national identity, national identification, national insurance, nino, "
        "nhs number, ni number, passport, passport id, id card, identity card, government id, "
        "personal identification number, tax id, tax number, tax no, tax file number, "
        "taxpayer id, taxpayer identification number, itin, driver license, drivers license, "
        "driving license, "
        "steuernummer, steuer id, steuer nr, steueridentifikationsnummer, sozialversicherungsnummer, "
        "personalausweis, ausweis nummer, ausweis nr, reisepass, fuhrerschein, fuehrerschein, "
        "securite sociale, nir, numero fiscal, passeport, permis de conduire, carte d identite, carte identite, "
        "dni, nie, nif, curp, documento de identidad, pasaporte, seguridad social, "
        "licencia de conducir, permiso de conducir, carnet de conducir, "
        "codice fiscale, passaporto, patente, carta d identita, carta identita, "
        "bsn, burgerservicenummer, paspoort, rijbewijs, "
        "cpf, cnh, passaporte, carta de conducao, numero de contribuinte, bilhete de identidade, cartao de cidadao",
    ),
    _Kind(
        "the number of a bank account",
        "iban, bank account, account number, account num, account no, account nr, acct number, acct no, acc number, "
        "acc no, bankverbindung, bankkonto, konto nr, konto nummer, "
        "compte bancaire, numero de compte, numero compte, rib, "
        "cuenta bancaria, numero de cuenta, numero cuenta, conto bancario, conto corrente, numero di conto, "
        "numero conto, bankrekening, rekening nummer, conta bancaria, numero da conta, numero de conta",
    ),
    _Kind(
        "the number of a payment card",
        "card number, card no, card nr, card num, credit card, creditcard, debit card, payment card, cc number, "
        "cc no, cc nr, cc num, ccn, cvv, cvc, kreditkarte, kreditkarten nummer, karten nummer, karten nr, "
        "carte bancaire, carte de credit, numero de carte, numero carte, "
        "tarjeta de credito, tarjeta credito, numero de tarjeta, numero tarjeta, "
        "carta di credito, carta credito, numero carta, numero di carta, "
        "kaart nummer, cartao de credito, cartao credito, numero do cartao",
    ),
    _Kind(
        "a postal address",
        "address, addr, street, house number, house no, house nr, apartment number, po box, "
        "strasse, strassen, str nr, haus nummer, haus nr, adresse, anschrift, postfach, "
        "rue, calle, direccion, domicilio, indirizzo, numero civico, "
        "straat, adres, huis nummer, huis nr, rua, endereco, morada, logradouro",
    ),
    _Kind(
        "a first name",
        "first name, fname, f name, first nm, given name, forename, christian name, vorname, rufname, prenom, "
        "nombre de pila, primer nombre, segundo nombre, nome proprio, primeiro nome, voornaam, roepnaam",
    ),
    _Kind("a middle name", "middle name, middle initial, mname, m name, deuxieme prenom"),
    _Kind(
        "a last name",
        "last name, lname, l name, last nm, surname, maiden name, birth name, "
        "nachname, familienname, zuname, geburts name, madchenname, maedchenname, "
        "nom de famille, nom famille, nom de naissance, nom naissance, nom de jeune fille, nom jeune fille, "
        "apellido, cognome, achternaam, familienaam, geboorte naam, meisjesnaam, tussenvoegsel, "
        "sobrenome, apelido, ultimo nome, "
        "ALONE: family name",
    ),
    _Kind(
        "a name",
        "nick name, bill to name, ship to name, account holder, card holder, cardholder, vollname, "
        "voller name, vollstandiger name, vollstaendiger name, ansprechpartner, kontoinhaber, volledige naam, "
        "ALONE: name, full name, complete name, preferred name, nom, nom complet, nombre, nombre completo, nome, "
        "nome completo, naam",
    ),
)

_PERSONS = (
    "customer client user person personal contact member subscriber recipient guest patient employee buyer owner "
    "holder cardholder mother father spouse child visitor consumer shopper payer payee tenant student sender "
    "applicant billing bill shipping ship delivery invoice "
    "kunde kunden kontakt benutzer nutzer mitglied empfanger empfaenger inhaber rechnung lieferung "
    "utilisateur abonne destinataire titulaire cliente usuario contacto titular destinatario contatto utente "
    "klant klanten gebruiker contato utilizador"
)
"""Words for a person, and for addresses that a person gives."""

_KEEPING = (
    "number no nr num nummer numero address addr adresse adres line zeile ligne linea linha regel primary secondary "
    "main home work office private privat prive mobile cell alternate alternative alt other first last full "
    "complete preferred default raw plain clean cleaned clear cleartext plaintext normalized lower "
    "lowercase upper uppercase lc uc trimmed formatted value text string field col column new old current latest "
    "previous original name nm nom nombre nome naam postal postale electronica portable movil "
    "geschaftlich geschaeftlich dienstlich professionnel personnel domicile trabajo casa trabalho lavoro "
    "ufficio fixe fijo fixo fisso principal principale "
    "and or und oder et ou y en e o of the to de del della di da do du des la le el van von der die das d l s"
)
"""Words that keep the meaning of a phrase before them; so do numbers."""

_CHANGING = (
    "has, is, was, no email, no mail, no phone, number of, num email, num phone, nb, count, total, sum, anzahl, "
    "cantidad, quantite, quantidade, aantal, hash, hashed, sha, md, crc, encrypted, masked, anonymized, "
    "pseudonymized, token, tokenized, opt, optin, optout, allow, allows, allowed, accept, accepts, "
    "consent, permission, newsletter, subscribed, unsubscribed, subscribes, prefers, sent, opened, clicked, open, "
    "click, bounced, received, responded, domain, type, typ, tipo, kind, art, country, land, pays, pais, channel, "
    "campaign, marketing, direct, by, via, per, since, days, smart"
)
"""Words that change the meaning of a phrase after or before them."""

_HARMLESS = (
    "email client, voice mail, mac address, web address, site address, page address, wallet address, "
    "internet address, mobile user, "
    "loyalty card, gift card, club card, bonus card, member card, membership card, reward card, store card, "
    "library card, customer card, kunden karten, carte de fidelite, carte fidelite, tarjeta de fidelidad, "
    "carta fedelta, cartao fidelidade, sim card"
)
"""Phrases that are no personal data, although they contain words of the table."""

_NO_KIND, _CHANGE = "", "changing"
_OF_PERSONS = frozenset(_PERSONS.split())
_KEPT = _OF_PERSONS | frozenset(_KEEPING.split())


class _Phrase(NamedTuple):
    """The meaning of a phrase: a kind of personal data, by its name and its index in the table; or none."""

    what: str
    kind: int = 0
    alone: bool = False


def personal_by_name(column: str) -> str | None:
    """Return what personal data a column holds by its name, such as `an e-mail address`; `None` where it names none.

    The name may be any text of any length.
    """
    phrases: list[_Phrase] = []
    before = ""
    words = _words(column)
    at = 0
    while at < len(words):
        length, phrase = _phrase_at(words, at, before)
        if phrase is None:
            if phrases and not (words[at] in _KEPT or words[at].isdigit()):
                return None
            before = words[at]
            at += 1
            continue
        if phrase.what == _CHANGE or (phrases and phrase.what == _NO_KIND):
            return None
        if phrase.what != _NO_KIND:
            phrases.append(phrase)
        before = words[at + length - 1]
        at += length
    # `email_address` is an e-mail address, though `address` alone is a postal one.
    return min(phrases, key=lambda phrase: phrase.kind).what if phrases else None


def _phrase_at(words: list[str], at: int, before: str) -> tuple[int, _Phrase | None]:
    """Return how many words the longest phrase at an index has, and the phrase; `before` is the word before it."""
    for length in range(min(_LONGEST_PHRASE, len(words) - at), 0, -1):
        phrase = _PHRASES.get(tuple(words[at : at + length]))
        if phrase and not (phrase.alone and before and before not in _OF_PERSONS):
            return length, phrase
    return 1, None


def _words(column: str) -> list[str]:
    """Return the words of a name, in lower case without accents."""
    plain = unicodedata.normalize("NFKD", column.replace("ß", "ss").replace("ẞ", "SS"))
    plain = "".join(mark for mark in plain if not unicodedata.combining(mark) and mark not in "'’´`")
    parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]", plain)]
    for british, american in _AMERICAN:
        parts = [british.sub(american, part) for part in parts]
    return [word for part in parts for word in _split(part) or (part,)]


@functools.lru_cache(4096)
def _split(word: str) -> tuple[str, ...] | None:
    """Split a compound word into known words, the longest first; return `None` where it is not one."""
    if word in _KNOWN:
        return (word,)
    for ending in ("s", "es"):
        singular = word.removesuffix(ending)
        if len(singular) > 2 and singular in _KNOWN:
            return (singular,)
    if len(word) > _LONGEST_WORD:
        return None
    for length in range(len(word) - 2, 1, -1):
        if word[:length] in _KNOWN and (rest := _split(word[length:])):
            return (word[:length], *rest)
    return None


def _table() -> dict[tuple[str, ...], _Phrase]:
    """Return the meanings of all phrases, by their words."""
    phrases = {tuple(each.split()): _Phrase(_NO_KIND) for each in _HARMLESS.split(", ")}
    phrases |= {tuple(each.split()): _Phrase(_CHANGE) for each in _CHANGING.split(", ")}
    for number, kind in enumerate(_KINDS):
        anywhere, _, alone = kind.phrases.partition(_ALONE)
        for listed, is_alone in ((anywhere, False), (alone, True)):
            for each in filter(None, (phrase.strip() for phrase in listed.split(","))):
                phrases[tuple(each.split())] = _Phrase(kind.what, number, is_alone)
    return phrases


_PHRASES = _table()
_LONGEST_PHRASE = max(map(len, _PHRASES))
_KNOWN = _KEPT | {word for phrase in _PHRASES for word in phrase}
