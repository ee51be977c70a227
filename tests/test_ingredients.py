"""Materials: their facts, their sources, and tables of somebody else's."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_artisan.fragrance.ingredients import (
    NOTES,
    UnknownMaterial,
    allergens,
    load_catalogue,
    packaged,
    prohibited,
    restricted,
)
from pytest_artisan.fragrance.standards import CATEGORIES, packaged_standards
from pytest_artisan.fragrance.tables import DATA, TableError, cas_valid

GLOSSARY = Path(__file__).parents[2] / "shared/data/fragrance/ifra_glossary_2019.csv"


@pytest.mark.parametrize(
    ("cas", "valid"),
    [
        ("78-70-6", True),
        ("25265-71-8", True),
        ("78-70-5", False),
        ("78-70-06", False),
        ("٧٨-70-6", False),
        ("", False),
        ("78-70-6 ", False),
    ],
)
def test_cas_numbers_have_their_check_digit(cas: str, valid: bool) -> None:
    assert cas_valid(cas) is valid


@given(st.integers(10, 9_999_999), st.integers(0, 99))
def test_one_check_digit_in_ten_is_right(first: int, second: int) -> None:
    assert sum(cas_valid(f"{first}-{second:02}-{check}") for check in range(10)) == 1


def test_the_packaged_materials_are_many_and_each_fact_has_its_source() -> None:
    with (DATA / "materials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(packaged()) >= 60
    for row in rows:
        assert row["ifra"], row["name"]
        assert row["source_ifra"].startswith(("https://", "http://")), row["name"]
        for fact, source in (("families", "source_odour"), ("vapour_pressure_pa", "source_vapour")):
            assert bool(row[fact]) <= row[source].startswith(("https://", "http://")), (row["name"], fact)
        assert (
            not row["price_usd_kg"]
            or row["source_price"] == "illustrative"
            or row["source_price"].startswith(("https://", "http://"))
        ), row["name"]
    for name in ("limits.csv", "constituents.csv", "phototoxic.csv", "prohibited.csv", "allergens.csv"):
        with (DATA / name).open(encoding="utf-8") as file:
            assert all(row["source"].startswith(("https://", "http://")) for row in csv.DictReader(file)), name


def test_the_packaged_materials_cover_what_a_perfume_is_made_of() -> None:
    catalogue = packaged()
    assert {item.note for item in catalogue} >= set(NOTES)
    assert {item.ifra for item in catalogue} == {"restricted", "unrestricted", "prohibited"}
    assert any(item.allergen for item in catalogue)
    carrier = catalogue.find("dipropylene glycol")
    assert carrier.families == ()
    assert catalogue.find(" DIPROPYLENE  glycol") is carrier is catalogue.find("25265-71-8")


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("standards.csv", ("standard", "cas")),
        ("limits.csv", ("standard", "category")),
        ("constituents.csv", ("natural", "constituent")),
        ("phototoxic.csv", ("cas",)),
        ("prohibited.csv", ("cas",)),
        ("allergens.csv", ("cas",)),
    ],
)
def test_no_packaged_row_stands_twice(file: str, key: tuple[str, ...]) -> None:
    with (DATA / file).open(encoding="utf-8") as lines:
        keys = [tuple(row[column] for column in key) for row in csv.DictReader(lines)]
    assert len(set(keys)) == len(keys) > 10


def test_every_standard_has_a_limit_in_each_category_or_says_that_there_is_none() -> None:
    for standard in packaged_standards().standards:
        assert set(standard.limits) == set(CATEGORIES), standard.name
        assert all(limit is None or 0 < limit <= 100 for limit in standard.limits.values()), standard.name


def test_the_status_of_a_packaged_material_is_that_of_its_number() -> None:
    assert len(prohibited()) > 100
    assert len(restricted()) > 250
    for item in packaged():
        number = (
            "prohibited" if item.cas in prohibited() else "restricted" if item.cas in restricted() else "unrestricted"
        )
        assert item.ifra == number, item
        assert item.allergen == (item.cas in allergens()), item


def test_every_restricted_material_has_its_limit() -> None:
    known = packaged_standards()
    limited = {cas for standard in known.standards for cas in standard.members} | set(known.phototoxic)
    for item in packaged():
        assert (item.ifra == "restricted") == (item.cas in limited), item
    assert len(known.standards) >= 150, "a table of one's own may hold any of IFRA's materials"
    for natural, parts in known.constituents.items():
        assert packaged().get(natural), natural
        assert all(0 < percent <= 100 for percent in parts.values()), natural
        assert sum(parts.values()) <= 130, "maxima may add up to somewhat more than everything"


@pytest.mark.parametrize("name", ["linalol", "linal", "no such thing", ""])
def test_a_name_is_a_name_and_no_part_of_one(name: str) -> None:
    with pytest.raises(UnknownMaterial, match="no material"):
        packaged().find(name)
    with pytest.raises(UnknownMaterial, match="is not in the catalogue"):
        packaged().by_cas(name)


def table(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "column 'cas' is missing; required: cas, name"),
        ("cas,name\n", "holds no row"),
        ("cas\n78-70-6\n", "column 'name' is missing"),
        ("cas,name,prize\n78-70-6,a,1\n", "unknown column 'prize'"),
        ("cas,name,name\n78-70-6,a,b\n", "stands twice"),
        ("cas,name\n78-70-5,a\n", "row 2 cas: '78-70-5' is no CAS number"),
        ("cas,name\n78-70-6,\n", "row 2 name: is empty"),
        ("cas,name\n78-70-6,a,b\n", "row 2: 3 cells, the header has 2"),
        ("cas,name\n78-70-6,a\n78-70-6,b\n", "row 3 cas: '78-70-6' stands in mine.csv row 2 already"),
        ("cas,name\n78-70-6,a\n115-95-7, A\n", "row 3 name: 'A' stands in mine.csv row 2 already"),
        ("cas,name,note\n78-70-6,a,middle\n", "row 2 note: 'middle' is none of top, heart, base"),
        ("cas,name,price_usd_kg\n78-70-6,a,-3\n", "row 2 price_usd_kg: '-3' is no number above 0"),
        ("cas,name,price_usd_kg\n78-70-6,a,nan\n", "row 2 price_usd_kg: 'nan' is no number above 0"),
        ("cas,name,vapour_pressure_pa\n78-70-6,a,inf\n", "row 2 vapour_pressure_pa: 'inf' is no number"),
        ("cas,name,ifra\n78-70-6,a,fine\n", "row 2 ifra: 'fine' is none of restricted"),
        ('cas,name\n78-70-6,"a\n', "no table of comma-separated values"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TableError) as caught:
        load_catalogue(table(tmp_path, text))
    assert told in str(caught.value)
    assert str(caught.value).startswith("mine.csv")


def test_tables_in_other_encodings_or_nowhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("cas,name\n78-70-6,caf\xe9\n".encode("latin-1"))
    for bad in (path, tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(TableError, match="no table of comma-separated values in UTF-8"):
            load_catalogue(bad)


def test_a_table_of_ones_own_can_not_weaken_a_status(tmp_path: Path) -> None:
    [prohibited] = [item for item in packaged() if item.ifra == "prohibited"][:1]
    [restricted] = [item for item in packaged() if item.ifra == "restricted"][:1]
    text = f"cas,name,ifra\n{prohibited.cas},a,unrestricted\n{restricted.cas},b,\n10544-72-6,c,\n7732-18-5,d,unrestricted\n"
    found = load_catalogue(table(tmp_path, text))
    assert [item.ifra for item in found] == ["prohibited", "restricted", None, "unrestricted"]


def test_a_table_of_ones_own_learns_what_ifra_says_of_materials_that_are_not_packaged(tmp_path: Path) -> None:
    rows = "107898-54-4,Polysantol,unrestricted\n5146-66-7,Geranyl nitrile,\n100-52-7,Benzaldehyde,\n7732-18-5,Water,\n"
    found = load_catalogue(table(tmp_path, f"cas,name,ifra\n{rows}"))
    assert not any(packaged().get(item.cas) for item in found)
    assert [item.ifra for item in found] == ["restricted", "prohibited", "restricted", None]
    assert [item.allergen for item in found] == [False, False, True, False]


def test_ambiguous_synonyms_are_told_with_their_numbers(tmp_path: Path) -> None:
    found = load_catalogue(table(tmp_path, "cas,name,synonyms\n78-70-6,a,same;x\n115-95-7,b,Same\n"))
    assert found.find("x").cas == "78-70-6"
    with pytest.raises(UnknownMaterial, match=r"a \(78-70-6\), b \(115-95-7\); give the CAS number"):
        found.find("SAME")


@pytest.mark.skipif(not GLOSSARY.exists(), reason="the IFRA glossary is not beside the project")
def test_the_glossary_of_ifra_is_read_whole() -> None:
    started = time.perf_counter()
    catalogue = load_catalogue(GLOSSARY)
    assert time.perf_counter() - started < 5, "thousands of rows are no work"
    with GLOSSARY.open(encoding="utf-8") as file:
        rows = sum(1 for _ in csv.reader(file)) - 1
    renamed = sum("is taken" in remark for remark in catalogue.remarks)
    assert len(catalogue) + len(catalogue.remarks) - renamed == rows == 3157, "each row is a material or a remark"
    assert catalogue.find("Citral").families == ("citrus", "lemon", "verbena")
    assert sum(item.ifra == "restricted" for item in catalogue) > 200
    assert catalogue.by_cas("10599-70-9").ifra == "prohibited", "3-acetyl-2,5-dimethylfuran, since the 51st amendment"
