"""Columns are recognized by their names, in seven languages, and other columns are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.columns.privacy import columns, personal_by_name

PERSONAL_COLUMNS = {
    "a first name": [
        "first_name", "firstName", "FIRSTNAME", "First Name", "fname", "given-name", "forename",
        "customer_first_name", "Vorname", "VORNAME", "prénom", "prenom_client", "nombre_de_pila", "voornaam",
        "primeiro_nome",
    ],
    "a last name": [
        "last_name", "lastname", "LastName1", "surname", "family_name", "maiden_name", "Nachname", "familienname",
        "Geburtsname", "Mädchenname", "nom_de_famille", "nom_de_jeune_fille", "apellidos", "primer_apellido",
        "cognome", "achternaam", "sobrenome",
    ],
    "a name": [
        "name", "Name", "NAME1", "full_name", "fullName", "customer_name", "customerName", "username",
        "billing_name", "ship_to_name", "contact_name", "account_owner_name", "cardholder_name", "kundenname",
        "Ansprechpartner", "nom", "nom_client", "nom_complet", "nombre", "nombre_cliente", "nome", "nome_completo",
        "naam", "klantnaam",
    ],
    "an e-mail address": [
        "email", "Email", "E-Mail", "e_mail", "eMail", "EMAIL_ADDRESS", "emailAddress", "customeremail", "email_1",
        "email2", "email_primary", "primary_email", "loyalty_email", "E-Mail-Adresse", "mail", "correo_electronico",
        "correo electrónico", "adresse_email", "courriel", "customer_email_address", "verified_email",
        "phone_or_email", "email_normalised",
    ],
    "a phone number": [
        "phone", "phone_number", "phoneNumber", "Phone No.", "home_phone", "phone_home", "work_phone_2", "mobile",
        "mobile_number", "customer_mobile", "cell_phone", "fax", "fax_number", "telephone", "Telefon",
        "telefonnummer", "Tel.-Nr.", "Handy", "handynummer", "Mobilfunknummer", "téléphone", "téléphone_portable",
        "numéro_de_téléphone", "teléfono", "telefono_movil", "cellulare", "telefoonnummer", "telemóvel",
        "phone_e164",
    ],
    "a postal address": [
        "street", "street_address", "street_1", "address", "address_line_1", "addressLine2", "mailing_address",
        "house_number", "Straße", "strasse", "STRASSE", "Straßenname", "Hausnummer", "hausnr", "Anschrift",
        "adresse", "adresse_postale", "rue", "calle", "dirección", "indirizzo", "straat", "huisnummer", "endereço",
        "morada",
    ],
    "a date of birth": [
        "date_of_birth", "dateOfBirth", "dob", "DOB", "birthday", "birth_date", "birthdate", "customer_birthday",
        "Geburtsdatum", "geburtstag", "date_de_naissance", "fecha_de_nacimiento", "data_di_nascita",
        "geboortedatum", "data_nascimento",
    ],
    "the number of a person, such as that of an identity card or of a taxpayer": [
        "ssn", "social_security_number", "national_id", "nationalID", "passport", "passport_no", "passportNumber",
        "tax_id", "driver's license", "drivers_licence_number", "identity_card_number", "Personalausweisnummer",
        "Führerschein", "fuehrerscheinnummer", "numero_securite_sociale", "DNI", "codice_fiscale", "bsn", "cpf",
    ],
    "the number of a bank account": [
        "iban", "customer_iban", "account_number", "accountNumber", "bank_account", "Kontonummer",
        "numéro_de_compte", "numero_cuenta", "rekeningnummer",
    ],
    "the number of a payment card": [
        "credit_card", "credit_card_number", "card_number", "cardNo", "cc_num", "Kreditkartennummer",
        "carte_bancaire", "tarjeta_de_credito",
    ],
    "an IP address": [
        "ip", "ip_address", "ipAddress", "IPAddress", "client_ip", "last_login_ip", "ipv6",
    ],
    "a middle name": [
        "middle_name", "middleInitial",
    ],
}  # fmt: skip
OTHER_COLUMNS = [
    "crm_id", "customer_id", "user_id", "kundennummer", "numero_client", "contact_id", "loyalty_card_number",
    "gift_card_number", "kundenkartennummer", "birth_year", "birthYear", "birth_month", "year_of_birth",
    "birthday_month", "age", "age_band", "Alter", "city", "home_city", "city_name", "Stadt", "ville", "state",
    "country", "Land", "zip", "zip_code", "postcode", "postal_code", "PLZ", "gender", "Geschlecht",
    "product_name", "productName", "produktname", "nom_produit", "nome_prodotto", "nombre_producto",
    "productnaam", "brand_name", "company_name", "Firmenname", "campaign_name", "store_name", "domain_name",
    "hostname", "file_name", "event_name", "segment_name", "customer_segment_name", "account_name",
    "account_id", "account_type", "name_prefix", "nombre_de_hijos", "nombre_enfants", "email_opt_in",
    "emailOptIn", "emailoptin", "has_email", "hasEmail", "hasemail", "is_email_valid", "email_domain",
    "emailDomain", "email_provider", "email_verified", "email_flag", "email_frequency", "email_open_rate",
    "emails_sent", "number_of_emails", "num_emails", "hashed_email", "email_sha256", "emailHash", "email_md5",
    "anonymised_email", "pseudonymized_phone", "pseudonymised_email_address",
    "md5_email", "newsletter_mail", "direct_mail", "mailing_frequency", "mailing_list", "subscribed_email",
    "opt_in_phone", "no_email", "contact_by_phone", "phone_type", "phoneType", "phone_brand", "phone_model",
    "phone_country_code", "phone_area_code", "has_phone", "number_of_phones", "smartphone", "smart_phone",
    "mobile_app", "mobile_os", "mobile_user", "is_mobile", "visits_mobile", "iphone", "microphone",
    "headphones", "telecom", "address_type", "address_city", "address_country", "shipping_address_country",
    "address_id", "mac_address", "phone_sim_card", "web_address", "wallet_address", "street_view", "ip_country", "ip_city",
    "ip_hash", "zip", "vip", "is_vip", "membership", "ship_date", "card_type", "credit_card_type",
    "has_credit_card", "payment_method", "passport_country", "tax_rate", "tax_class",
    "social_security_benefits", "iban_country", "bank_name", "plan", "product", "revenue", "trait_ids",
    "signup_date", "last_purchase", "score", "notes", "channel", "utm_campaign", "device_model", "user_agent",
    "language", "namespace", "nominal", "update", "", "имя", "名前",
]  # fmt: skip


@pytest.mark.parametrize("what, name", [(what, name) for what, names in PERSONAL_COLUMNS.items() for name in names])
def test_a_name_says_what_it_holds(what: str, name: str) -> None:
    assert personal_by_name(name) == what


@pytest.mark.parametrize("name", OTHER_COLUMNS)
def test_other_names_say_nothing(name: str) -> None:
    assert personal_by_name(name) is None


def test_the_tables_are_large_and_even() -> None:
    personal = sum(map(len, PERSONAL_COLUMNS.values()))
    assert min(personal, len(OTHER_COLUMNS)) >= 75


@pytest.mark.parametrize("what, names", PERSONAL_COLUMNS.items())
@pytest.mark.parametrize(
    "change", ["{}_hash", "hashed_{}", "has_{}", "{}_opt_in", "{} type", "{}Flag", "sha256_{}", "{}_country"]
)
def test_what_is_only_about_it_says_nothing(change: str, what: str, names: list[str]) -> None:
    for name in names:
        assert personal_by_name(change.format(name)) is None, name


@pytest.mark.parametrize("names", PERSONAL_COLUMNS.values())
def test_capitals_spaces_and_hyphens_change_nothing(names: list[str]) -> None:
    for name in names:
        what = personal_by_name(name)
        words = columns._words(name)
        assert {personal_by_name(mark.join(words)) for mark in ("_", "-", " ", ".")} == {what}, name
        assert personal_by_name("_".join(words).upper()) == what, name


def test_every_kind_is_named_in_words() -> None:
    assert {kind.what for kind in columns._KINDS} == set(PERSONAL_COLUMNS)


def test_every_phrase_of_a_kind_says_it() -> None:
    for words, phrase in columns._PHRASES.items():
        if phrase.what not in (columns._NO_KIND, columns._CHANGE):
            assert personal_by_name("_".join(words)) is not None, words


@given(st.text(max_size=80))
def test_any_name_has_a_result(name: str) -> None:
    assert personal_by_name(name) in {None, *PERSONAL_COLUMNS}


@pytest.mark.parametrize("name", ["nono" * 5000, "mail" * 5000, "_" * 100_000, "é" * 50_000, "aA" * 20_000])
def test_a_long_name_takes_no_time(name: str) -> None:
    assert personal_by_name(name) is None
