"""A baseline is recorded from a GO verdict, read back as it was, and refused in one line where it can not be used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_artisan.cli import main
from pytest_artisan.release.baselines import Baselines, load, path_of, save
from pytest_artisan.reports.machine import as_json
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import (
    Baseline,
    Evidence,
    ItemResult,
    Measurement,
    Outcome,
    Plan,
    Samples,
    measured,
)

P95 = measured("p95", 1847.25, unit="ms", at_most=2500, n=300, interval=(1602.0, 2011.5))
ERRORS = measured("errors", 0, unit="%", at_most=1)
NODE = "tests/test_load.py::test_load[fast]"
GARBAGE = ["", "{}", "[]", "null", "not json", '{"version": 1', "\x00", '{"version": "1"}', '{"measurements": NaN}']


def verdict(*measurements: Measurement, outcome: Outcome = Outcome.PASSED, environment: str = "dev") -> Verdict:
    asked = Requirements(Purpose.LOCAL, ("unit",), "policy", environment)
    return decide(asked, Plan({"unit": (NODE,)}), Evidence(results=(ItemResult(NODE, outcome, "", 1, measurements),)))


def of(item: str, measurement: Measurement) -> Measurement:
    return replace(measurement, item=item)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_saved_is_loaded(root: Path) -> None:
    missing = measured("fill", None, unit="%", at_most=1)
    path = save(root, "stg", [of("b", P95), of("a", ERRORS), of("a", P95), of("a", missing)])
    found = load(root, "stg")

    assert path == path_of(root, "stg") == root / ".artisan" / "baseline-stg.json"
    assert found.of("b", "p95") == Baseline(1847.25, "ms", (1602.0, 2011.5))
    assert found.of("a", "errors") == Baseline(0.0, "%", None)
    assert found.of("a", "fill") == found.of("c", "p95") == Baseline()
    assert [(entry.item, entry.name) for entry in found.missing([of("a", P95)])] == [("a", "errors"), ("b", "p95")]


def test_the_file_is_the_same_whatever_the_order_and_is_replaced_as_a_whole(root: Path) -> None:
    first = save(root, "dev", [of("a", P95), of("b", ERRORS)]).read_bytes()
    second = save(root, "dev", [of("b", ERRORS), of("a", P95)]).read_bytes()
    save(root, "dev", [of("c", P95)])

    assert first == second
    assert first.endswith(b"}\n")
    assert load(root, "dev").of("a", "p95") == Baseline()
    assert [path.name for path in (root / ".artisan").iterdir()] == ["baseline-dev.json"]


def test_an_empty_baseline_knows_nothing() -> None:
    assert Baselines([]).of("a", "p95") == Baseline()
    assert Baselines([]).missing([of("a", P95)]) == []


def test_the_command_records_the_measurements_of_a_verdict(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("verdict.json").write_text(as_json(verdict(P95, ERRORS)))

    status = main(["baseline", "save", "verdict.json"])
    assert (status, capsys.readouterr().err) == (0, "")
    assert load(root, "dev").of(NODE, "p95") == Baseline(1847.25, "ms", (1602.0, 2011.5))


def other_file(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text)

    return write


def a_folder(path: Path) -> None:
    path.mkdir()


def latin_1(path: Path) -> None:
    path.write_bytes(as_json(verdict(P95)).replace("test_load", "t\xe9st").encode("latin-1"))


def absent(path: Path) -> None:
    assert not path.exists()


OVER = measured("p95", 2731, unit="ms", at_most=2500)
UNUSABLE: list[tuple[str, Callable[[Path], None], str]] = [
    ("no go", other_file(as_json(verdict(P95, outcome=Outcome.FAILED))), "the verdict is NO-GO"),
    ("over the limit", other_file(as_json(verdict(OVER))), "the verdict is NO-GO"),
    ("nothing measured", other_file(as_json(verdict())), "no measurement"),
    ("unknown environment", other_file(as_json(verdict(P95, environment="../../x"))), "no environment '../../x'"),
    ("other version", other_file(as_json(verdict(P95)).replace('"version": 1', '"version": 2')), "no JSON report"),
    ("cut", other_file(as_json(verdict(P95))[:-9]), "no JSON report"),
    ("latin-1", latin_1, "verdict.json"),
    ("folder", a_folder, "no JSON report"),
    ("absent", absent, "no JSON report"),
    *((f"garbage {text!r}", other_file(text), "no JSON report") for text in GARBAGE),
]


@pytest.mark.parametrize(("write", "told"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
def test_what_is_no_go_verdict_is_refused_in_one_line_and_keeps_the_old_baseline(
    write: Callable[[Path], None], told: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = save(root, "dev", [of("a", P95)]).read_bytes()
    write(root / "verdict.json")

    status = main(["baseline", "save", "verdict.json"])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("artisan: ")
    assert err.count("\n") == 1
    assert told in err
    assert path_of(root, "dev").read_bytes() == before


@pytest.mark.parametrize("obstacle", [".artisan", ".artisan/baseline-dev.json/x"])
def test_a_place_that_can_not_be_written_is_told_in_one_line(
    obstacle: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(obstacle).parent.mkdir(parents=True, exist_ok=True)
    Path(obstacle).write_text("in the way")
    Path("verdict.json").write_text(as_json(verdict(P95)))
    before = sorted(root.rglob("*"))

    status = main(["baseline", "save", "verdict.json"])
    assert status == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(root.rglob("*")) == before


def test_a_full_disk_keeps_the_old_baseline(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = save(root, "dev", [of("a", P95)]).read_bytes()
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(SettingsError, match="No space left"):
        save(root, "dev", [of("b", P95)])
    assert path_of(root, "dev").read_bytes() == before
    assert len(list((root / ".artisan").iterdir())) == 1


SAMPLES = Samples.of([k / 10 for k in range(300)], [None, *(1000 + k / 3 for k in range(299))], [0] * 300)


def test_the_samples_of_a_measurement_are_kept_and_compared(root: Path) -> None:
    Path("verdict.json").write_text(as_json(verdict(replace(P95, samples=SAMPLES), ERRORS)))
    assert main(["baseline", "save", "verdict.json"]) == 0
    found = load(root, "dev")
    slower = replace(SAMPLES, values=tuple(2 * (value or 1000) for value in SAMPLES.values))

    kept = found.entries[NODE, "p95"].samples
    assert kept is not None
    assert kept[0] is None
    assert kept[1:] == pytest.approx(list(SAMPLES.values[1:]), rel=1e-4)
    assert found.of(NODE, "p95", SAMPLES).ratio == pytest.approx(1, abs=0.05)
    assert found.of(NODE, "p95", slower).ratio == pytest.approx(2, abs=0.1)
    assert found.of(NODE, "p95").ratio is None
    assert found.of(NODE, "p95", Samples((), (), ())).ratio is None
    assert found.entries[NODE, "errors"].samples is None
    assert found.of(NODE, "errors", SAMPLES) == Baseline(0.0, "%", None)


def test_a_baseline_from_before_there_were_samples_is_still_read(root: Path) -> None:
    before = saved(root)
    measurements = [{"item": "a", "name": "p95", "value": 1847.25, "unit": "ms", "interval": [1602.0, 2011.5]}]
    path_of(root, "dev").write_text(json.dumps({**before, "measurements": measurements}))

    assert load(root, "dev").of("a", "p95", SAMPLES) == Baseline(1847.25, "ms", (1602.0, 2011.5))


def saved(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(save(root, "dev", [of("a", P95)]).read_text())
    return found


WRONG: list[tuple[dict[str, object], str]] = [
    ({"version": 2}, "version 2 for dev, expected 1 for dev"),
    ({"environment": "stg"}, "version 1 for stg, expected 1 for dev"),
    ({"extra": 1}, "unknown field `extra`"),
    ({"measurements": [{"item": "a", "name": "p95", "value": None, "unit": "ms"}]}, "got `null`"),
    ({"measurements": [{"item": "a", "name": "p95", "unit": "ms"}]}, "value"),
    ({"measurements": [{"item": "a", "name": "p95", "value": 1, "unit": "ms", "interval": [1]}]}, "interval"),
]


@pytest.mark.parametrize(("change", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_baseline_of_another_kind_is_refused(change: dict[str, object], told: str, root: Path) -> None:
    before = saved(root)
    path_of(root, "dev").write_text(json.dumps({**before, **change}))

    with pytest.raises(SettingsError) as error:
        load(root, "dev")
    assert told in str(error.value)
    assert str(path_of(root, "dev")) in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00", *(text.encode() for text in GARBAGE if text != "\x00")])
def test_a_baseline_that_can_not_be_read_is_refused(content: bytes, root: Path) -> None:
    path_of(root, "dev").parent.mkdir()
    path_of(root, "dev").write_bytes(content)

    with pytest.raises(SettingsError) as error:
        load(root, "dev")
    assert str(error.value).startswith(str(path_of(root, "dev")))
    assert str(error.value).isprintable()


def test_a_baseline_that_is_missing_is_told_with_the_command_that_records_one(root: Path) -> None:
    with pytest.raises(SettingsError, match=r"no baseline for prod; record one with artisan baseline save"):
        load(root, "prod")


def test_a_partial_run_replaces_its_own_measurements_alone(root: Path) -> None:
    save(root, "dev", [of("a", P95), of("b", P95)])
    save(root, "dev", [of("b", replace(P95, value=1900.0, interval=None))], partial=True)
    recorded = load(root, "dev")
    assert (recorded.of("a", "p95").value, recorded.of("b", "p95").value) == (P95.value, 1900.0)
    save(root, "dev", [of("b", P95)])
    assert load(root, "dev").of("a", "p95") == Baseline()
