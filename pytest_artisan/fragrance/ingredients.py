"""Perfumery materials by CAS number."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from pytest_artisan.fragrance.standards import packaged_standards
from pytest_artisan.fragrance.tables import (
    CAS_FORM,
    DATA,
    Row,
    TableError,
    cas_of,
    number_of,
    one_of,
    read_rows,
    words_of,
)
from pytest_artisan.settings import SettingsError

NOTES = ("top", "heart", "base")
STATUSES = ("restricted", "unrestricted", "prohibited")
_REQUIRED = ("cas", "name")
_FACTS = ("synonyms", "note", "families", "price_usd_kg", "vapour_pressure_pa", "allergen", "ifra", "max_percent")
_SOURCES = ("source_odour", "source_vapour", "source_price", "source_ifra")
_GLOSSARY = ("CAS number", "Principal name", "Primary descriptor", "Descriptor 2", "Descriptor 3")
_FAMILIES = {"musk like": "musk", "animal like": "animalic", "tobacco like": "tobacco", "food like": "gourmand"}


class UnknownMaterial(SettingsError):
    """A material that the catalogue does not hold, or holds more than once under this name."""


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A material. `price`: USD a kilogram; `vapour_pressure`: Pa at room temperature; None where nobody says.

    `families` are empty for what has no odour. `ifra` is one of STATUSES, None where nobody states it;
    `max_percent` a limit of one's own in the finished product, beside those of IFRA.
    """

    cas: str
    name: str
    synonyms: tuple[str, ...] = ()
    note: str | None = None
    families: tuple[str, ...] = ()
    price: float | None = None
    vapour_pressure: float | None = None
    allergen: bool = False
    ifra: str | None = None
    max_percent: float | None = None


class Catalogue(Sequence[Ingredient]):
    """Ingredients in the order of their table; `remarks` say what of it was not taken as it stands."""

    def __init__(self, ingredients: Iterable[Ingredient], remarks: Iterable[str] = ()) -> None:
        self._items = tuple(ingredients)
        self.remarks = tuple(remarks)
        self._by_cas = {item.cas: item for item in self._items}
        self._by_name: dict[str, list[Ingredient]] = {}
        for item in self._items:
            for name in {_folded(text) for text in (item.cas, item.name, *item.synonyms)}:
                self._by_name.setdefault(name, []).append(item)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Ingredient]:
        return iter(self._items)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]  # int and slice, as in every sequence
        return self._items[place]

    @cached_property
    def families(self) -> tuple[str, ...]:
        """All odour families, in alphabetical order."""
        return tuple(sorted({family for item in self._items for family in item.families}))

    def get(self, cas: str) -> Ingredient | None:
        """The material with this CAS number, if it is here."""
        return self._by_cas.get(cas)

    def by_cas(self, cas: str) -> Ingredient:
        """Raises UnknownMaterial."""
        if cas not in self._by_cas:
            raise UnknownMaterial(f"{cas!r} is not in the catalogue of {len(self)} materials")
        return self._by_cas[cas]

    def find(self, name: str) -> Ingredient:
        """The material with this CAS number, name or synonym, but for case and spaces. Raises UnknownMaterial."""
        found = self._by_name.get(_folded(name), [])
        if len(found) == 1:
            return found[0]
        if found:
            told = ", ".join(f"{item.name} ({item.cas})" for item in found)
            raise UnknownMaterial(f"{name!r} is a name of {told}; give the CAS number")
        near = difflib.get_close_matches(_folded(name), self._by_name, n=3)
        raise UnknownMaterial(f"no material {name!r}" + (f"; nearest: {', '.join(near)}" if near else ""))


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


@cache
def packaged() -> Catalogue:
    """The materials that come with this package; their facts and sources: data/README.md."""
    return Catalogue(_parsed(read_rows(DATA / "materials.csv", _REQUIRED, (*_FACTS, *_SOURCES)), "materials.csv"))


@cache
def prohibited() -> frozenset[str]:
    """CAS numbers of what IFRA or EU law prohibits, whether or not they are packaged materials."""
    return _numbers("prohibited.csv", ("cas", "name", "amendment", "source"))


@cache
def restricted() -> frozenset[str]:
    """CAS numbers of what IFRA restricts, whether or not they are packaged materials."""
    known = packaged_standards()
    return frozenset(known.phototoxic).union(*(standard.members for standard in known.standards))


@cache
def allergens() -> frozenset[str]:
    """CAS numbers of what is to be declared in the EU (Annex III of Regulation (EC) 1223/2009)."""
    return _numbers("allergens.csv", ("cas", "name", "source"))


def _numbers(file: str, columns: tuple[str, ...]) -> frozenset[str]:
    return frozenset(cas_of(row, where) for where, row in read_rows(DATA / file, columns))


def load_catalogue(path: Path | None = None) -> Catalogue:
    """The packaged materials, or those of a CSV file with the columns `cas` and `name` and any of the facts.

    A material whose `ifra` the file does not state has the status that the packaged data gives its CAS number, be it by
    its own row or by IFRA's standards; a status there can not be weakened. The columns of IFRA's ingredient glossary are
    understood as they are. Raises TableError, which names file, row and column.
    """
    if path is None:
        return packaged()
    remarks: list[str] = []
    rows: Iterable[tuple[str, Row]] = (
        _from_glossary(path, remarks) if _is_glossary(path) else read_rows(path, _REQUIRED, (*_FACTS, *_SOURCES))
    )
    return Catalogue((_with_status(item) for item in _parsed(rows, path.name)), remarks)


def _parsed(rows: Iterable[tuple[str, Row]], file: str) -> Iterator[Ingredient]:
    numbers: dict[str, str] = {}
    names: dict[str, str] = {}
    for where, row in rows:
        cas = cas_of(row, where)
        if not row["name"]:
            raise TableError(f"{where} name: is empty")
        for column, key, seen in (("cas", cas, numbers), ("name", _folded(row["name"]), names)):
            if key in seen:
                raise TableError(f"{where} {column}: {row[column]!r} stands in {seen[key]} already")
            seen[key] = where
        yield Ingredient(
            cas,
            row["name"],
            words_of(row, "synonyms"),
            one_of(row, where, "note", NOTES),
            tuple(family.lower() for family in words_of(row, "families")),
            number_of(row, where, "price_usd_kg"),
            number_of(row, where, "vapour_pressure_pa"),
            one_of(row, where, "allergen", ("eu",)) is not None,
            one_of(row, where, "ifra", STATUSES),
            number_of(row, where, "max_percent"),
        )
    if not names:
        raise TableError(f"{file}: holds no material")


def _with_status(item: Ingredient) -> Ingredient:
    known = packaged().get(item.cas)
    stated = {item.ifra, known.ifra if known else None}
    stated |= {"prohibited"} if item.cas in prohibited() else {"restricted"} if item.cas in restricted() else set()
    # The strictest: a table of one's own does not lift a prohibition, nor forget an allergen.
    strictest = next((status for status in ("prohibited", "restricted", "unrestricted") if status in stated), None)
    return replace(item, ifra=strictest, allergen=item.allergen or item.cas in allergens())


def _is_glossary(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.readline().strip() == ",".join(_GLOSSARY)
    except (OSError, UnicodeDecodeError):
        return False


def _from_glossary(path: Path, remarks: list[str]) -> list[tuple[str, Row]]:
    """IFRA's ingredient glossary, parsed from print: wrapped names, and a material's variants in rows of their own."""
    merged: dict[str, dict[str, str]] = {}
    places: dict[str, str] = {}
    last = ""
    for where, row in read_rows(path, _GLOSSARY):
        cas, name = row["CAS number"], row["Principal name"]
        families = [family.lower() for column in _GLOSSARY[2:] if (family := row[column])]
        if last and not CAS_FORM.fullmatch(cas):
            rest = f"{cas} {name}".strip()
            merged[last]["name"] += f" {rest}"
            remarks.append(f"{where}: without a CAS number; its text {rest!r} ends the name before")
            continue
        last = cas = cas_of(row, where, "CAS number")
        odours = [_FAMILIES.get(family, family) for family in families]
        if cas not in merged:
            merged[cas] = {"cas": cas, "name": name, "synonyms": "", "families": ";".join(dict.fromkeys(odours))}
            places[cas] = where
        else:
            one = merged[cas]
            one["synonyms"] = ";".join(filter(None, (one["synonyms"], name)))
            one["families"] = ";".join(dict.fromkeys([*one["families"].split(";"), *odours]))
            remarks.append(f"{where}: {cas} stands in {places[cas]} already; {name!r} became its synonym")
    return _with_own_names(merged, places, remarks)


def _with_own_names(
    merged: dict[str, dict[str, str]], places: dict[str, str], remarks: list[str]
) -> list[tuple[str, Row]]:
    """One name for several numbers is told apart by the number."""
    taken: set[str] = set()
    for cas, row in merged.items():
        if _folded(row["name"]) in taken:
            remarks.append(f"{places[cas]}: the name {row['name']!r} is taken; here it is followed by {cas}")
            row["name"] += f" ({cas})"
        taken.add(_folded(row["name"]))
    return [(places[cas], row) for cas, row in merged.items()]
