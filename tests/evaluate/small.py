"""A taxonomy small enough to compute by hand: two sectors, eight six-digit codes, a few entries."""

from __future__ import annotations

from naics_graph.taxonomy.model import EntrySource, IndexEntry, Industry, Role, Taxonomy

TITLES = {
    "11": "Farming",
    "111": "Crops",
    "1111": "Grain",
    "11111": "Soybeans",
    "111110": "Soybean Farming",
    "11112": "Corn",
    "111121": "Sweet Corn Farming",
    "111122": "Field Corn Farming",
    "112": "Animals",
    "1121": "Cattle",
    "11211": "Beef",
    "112110": "Beef Cattle Ranching",
    "44-45": "Retail",
    "441": "Motor Vehicle Dealers",
    "4411": "Automobile Dealers",
    "44111": "New Cars",
    "441110": "New Car Dealers",
    "44112": "Used Cars",
    "441120": "Used Car Dealers",
    "445": "Food",
    "4451": "Grocery",
    "44511": "Supermarkets",
    "445110": "Supermarkets",
    "44512": "Convenience",
    "445120": "Convenience Retailers",
}
PARENTS = {"441": "44-45", "445": "44-45"}
ENTRIES = [
    ("111110", "soybean growing", Role.EXAMPLES),
    ("111110", "soya bean fields", Role.TRAINING),
    ("111121", "sweet corn growing", Role.TRAINING),
    ("111122", "maize for cattle feed", Role.EXAMPLES),
    ("112110", "beef cattle feedlot", Role.TRAINING),
    ("441110", "automobiles, new only, retail", Role.EXAMPLES),
    ("441120", "automobiles, used only, retail", Role.TRAINING),
    ("445110", "grocery store", Role.EXAMPLES),
    ("111110", "soybeans farmed in fields", Role.VALIDATION),
    ("441120", "second-hand automobiles", Role.VALIDATION),
    ("445120", "convenience store", Role.VALIDATION),
]


def small_taxonomy(*, roles: bool = True, validation: bool = True) -> Taxonomy:
    """The taxonomy; without roles every entry is usable; the validation entries may be left out."""
    industries = [
        Industry(
            code=code,
            title=title,
            parent=PARENTS.get(code, None if code in ("11", "44-45") else code[:-1]),
            description=f"This industry comprises {title.lower()}." if code != "445120" else "",
        )
        for code, title in TITLES.items()
    ]
    entries = tuple(
        IndexEntry(f"2022:{i}", text, code, EntrySource.CENSUS, role if roles else None)
        for i, (code, text, role) in enumerate(ENTRIES)
        if validation or role is not Role.VALIDATION
    )
    return Taxonomy("2022", tuple(industries), entries=entries)
