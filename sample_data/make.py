"""Makes the sample data: a CRM export that looks like life, as CSV and as Parquet. The same every time.

Nobody in it exists. Run it from anywhere: python sample_data/make.py
"""

from __future__ import annotations

import datetime
import random
from pathlib import Path

import polars as pl

ROWS = 5_000
HERE = Path(__file__).parent

PLACES = [
    ("Berlin", "Germany", "de"), ("München", "Germany", "de"), ("Wien", "Austria", "de"), ("Zürich", "Switzerland", "de"),
    ("Paris", "France", "fr"), ("Saint-Étienne", "France", "fr"), ("Québec", "Canada", "fr"),
    ("São Paulo", "Brazil", "pt"), ("Lisboa", "Portugal", "pt"), ("Kraków", "Poland", "pl"), ("Łódź", "Poland", "pl"),
    ("New York", "United States", "en"), ("Washington, D.C.", "United States", "en"), ("London", "United Kingdom", "en"),
    ("東京", "Japan", "ja"), ("大阪", "Japan", "ja"), ("Αθήνα", "Greece", "el"), ("Київ", "Ukraine", "uk"),
    ("القاهرة", "Egypt", "ar"), ("İstanbul", "Türkiye", "tr"),
]  # fmt: skip
PLANS = ["free", "basic", "standard", "premium, monthly", "premium, yearly", "family (4+)"]
BRANDS = [
    "North & South", 'Studio "Blau"', "Café Olé", "Ångström", "O'Neill's", "Fast; Furious", "100% Wool", "Müller, Söhne & Co.",
    'TV 55" Ultra', "naïve",
]  # fmt: skip
CHANNELS = ["web", "store", "call centre", "partner", "app"]
NOTES = [
    "", "", "", "", "prefers e-mail", "called twice, no answer", 'said "never again"', "VIP 🎉",
    "two lines:\nsecond one", "moved;\tnew address unknown",
]  # fmt: skip


def rows(generator: random.Random) -> list[dict[str, object]]:
    """Return the rows of the export, with a few of everything that goes wrong in one."""
    made: list[dict[str, object]] = []
    for number in range(ROWS):
        chance = generator.random()
        if made and chance < 0.01:  # exports repeat people
            made.append(dict(generator.choice(made)))
            continue
        city, country, language = generator.choice(PLACES)
        user = f"C-{generator.randrange(10**7, 10**8)}"
        if chance > 0.996:
            user = f"user{number}@example.com"  # an address where an ID should be
        elif chance > 0.994:
            user = f"crm:{number}"  # an ID as some systems write it, which is forbidden
        elif chance > 0.991:
            user = ""
        elif chance > 0.96:
            user = f" {user} "  # a blank too many
        bought = datetime.date(2026, 9, 30) - datetime.timedelta(days=int(generator.expovariate(1 / 200)))
        traits = generator.sample(range(8_100_000, 8_100_040), generator.randrange(5))
        made.append(
            {
                "crm_id": user,
                "gender": generator.choice(["female", "male", "diverse", "", ""]),
                "age": generator.choice([None, *range(18, 90)]),
                "city": city,
                "country": country,
                "language": language,
                "plan": generator.choice(PLANS),
                "favourite_brand": generator.choice([*BRANDS, "", ""]),
                "signup_channel": generator.choice(CHANNELS),
                "newsletter": generator.choice([True, True, False, None]),
                "last_purchase": bought if generator.random() > 0.2 else None,
                "lifetime_value": round(generator.lognormvariate(4, 1.2), 2) if generator.random() > 0.1 else None,
                "note": generator.choice(NOTES),
                "trait_ids": traits,
            }
        )
    return made


def main() -> None:
    """Write crm.csv and crm.parquet beside this script."""
    table = pl.DataFrame(rows(random.Random(2026)), schema_overrides={"age": pl.Int16, "trait_ids": pl.List(pl.Int64)})
    table.write_parquet(HERE / "crm.parquet", compression="zstd", statistics=False)
    # As CRM systems write it: traits with bars between them, one that is not a number, zeros kept in front.
    as_text = table.with_columns(
        trait_ids=pl.col("trait_ids").cast(pl.List(pl.String)).list.join("|"),
        newsletter=pl.when(pl.col("newsletter")).then(pl.lit("yes")).when(~pl.col("newsletter")).then(pl.lit("no")),
    ).with_columns(
        trait_ids=pl.when(pl.int_range(pl.len()) % 700 == 1).then(pl.lit("8100001|summer-sale")).otherwise("trait_ids"),
    )
    blank_as_empty = as_text.with_columns(pl.col(pl.String).replace("", None))
    blank_as_empty.write_csv(HERE / "crm.csv")


if __name__ == "__main__":
    main()
