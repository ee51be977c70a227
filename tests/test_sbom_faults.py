"""The bill of a project's materials is the same everywhere, holds no secret, and is refused where it is not sound."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import date, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from osv_records import NOW, record
from sbom_bills import GOOD, bill_of, clean, example, install, inventory_of, source_of

from pytest_artisan import tools
from pytest_artisan.audit.audit import audit
from pytest_artisan.audit.inventory import Inventory
from pytest_artisan.audit.sbom.checkpoints import read_checkpoints
from pytest_artisan.audit.sbom.checks import faults_of
from pytest_artisan.audit.sbom.cleaning import cleaned
from pytest_artisan.audit.sbom.declared import supplier_of
from pytest_artisan.audit.waivers import Waiver
from pytest_artisan.verdict.evidence import NoEvidence

# Equal everywhere, and without secrets


def test_equal_input_gives_equal_bytes_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "some where else"):
        (tmp_path / name / "m").mkdir(parents=True)
        for model in ("a", "b", "c"):
            (tmp_path / name / "m" / f"{model}.safetensors").write_bytes(GOOD)
    monkeypatch.chdir(tmp_path / "here")
    here = example()
    # Another process, in which sets and dicts are in another order than in this one.
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "import sbom_bills; print(sbom_bills.example(), end='')"]
    done = subprocess.run(
        command, cwd=tmp_path / "some where else", env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout == here
    assert len(json.loads(here)["vulnerabilities"]) == 1
    assert str(tmp_path) not in here


def test_the_serial_number_is_the_content_s(tmp_path: Path) -> None:
    texts = [
        bill_of(tmp_path, inventory_of(pin), now=now) for pin, now in (("a==1", NOW), ("a==2", NOW), ("a==1", NOW))
    ]
    later = bill_of(tmp_path, inventory_of("a==1"), now=NOW + timedelta(seconds=1))
    elsewhere = bill_of(tmp_path, inventory_of("a==1"), now=NOW.astimezone(timezone(timedelta(hours=9))))
    serials = [json.loads(text)["serialNumber"] for text in (*texts, later)]

    assert texts[0] == texts[2] == elsewhere
    assert len(set(serials)) == 3
    assert all(
        re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", s)
        for s in serials
    )


PART = st.text(st.characters(exclude_characters="/", exclude_categories=("Zs", "Zl", "Zp", "Cc", "Cs")), min_size=1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(user=PART, password=PART, before=st.text(max_size=5), after=st.text(max_size=5))
def test_no_user_and_no_password_stays_in_an_address(user: str, password: str, before: str, after: str) -> None:
    text = cleaned(f"{before}https://{user}:{password}@a.invalid/x{after}")

    assert "https://a.invalid/x" in text
    assert not re.search(r"://[^\s/]*@", text)
    assert supplier_of([text]) == supplier_of([cleaned(text)])


def test_credentials_stand_nowhere_in_a_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://ada:hunter2@a.invalid/x"
    install(tmp_path, "p", "1.0", f"Author: {address}\nLicense: {address}\nHome-page: {address}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    waiver = Waiver("CVE-2", "p", "*", f"see {address}", address, date(2026, 12, 1), "w.toml", 1)
    inventory = inventory_of("p==1.0")
    stated = record(address, "p", "introduced 0", aliases=["CVE-2"], summary=f"as {address} says")
    audited = audit(inventory, [source_of(tmp_path, stated)], pardons=[waiver])
    text = bill_of(tmp_path, inventory, audited, pyproject={"project": {"name": address, "version": address}})

    assert "a.invalid" in text
    assert "hunter2" not in text
    with pytest.raises(NoEvidence) as caught:
        bill_of(tmp_path, inventory_of(f"p=={address}"))
    assert "hunter2" not in str(caught.value)


# A tool that does not do what it should, and documents that are not sound


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A cyclonedx-py that does as it is told, in Python, with `real(lines)` for what the real one makes of some pins."""

    def install_fake(body: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        real = Path(tools.BESIDE_PYTHON) / "cyclonedx-py"
        text = f"""\
            #!{sys.executable}
            import json, os, subprocess, sys
            lines = sys.stdin.read().splitlines()
            def real(lines):
                command = [{str(real)!r}, *sys.argv[1:]]
                return json.loads(subprocess.run(command, input="\\n".join(lines), capture_output=True, text=True).stdout)
            """
        (folder / "cyclonedx-py").write_text(textwrap.dedent(text) + body)
        (folder / "cyclonedx-py").chmod(0o755)
        monkeypatch.setattr(tools, "BESIDE_PYTHON", str(folder))

    return install_fake


NESTED = """
bill = real(lines)
bill["components"][0]["components"] = [{"type": "library", "name": "hidden", "version": "1"}]
print(json.dumps(bill))
"""
MODEL = """
bill = real(lines)
bill["components"].append({"type": "machine-learning-model", "name": "m.npz", "version": "1", "bom-ref": "m"})
print(json.dumps(bill))
"""


def test_a_tool_that_does_not_end_is_no_evidence(
    fake: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("import threading; threading.Event().wait()")
    monkeypatch.setattr("pytest_artisan.gates.auditing.bill._TIMEOUT_S", 0.5)

    with pytest.raises(NoEvidence, match=r"cyclonedx-py did not end within 0\.5 s"):
        bill_of(tmp_path, inventory_of("a==1.0"))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("print(json.dumps(real(lines[1:])))", "a 1.0 was audited, and is not in it"),
        ("print(json.dumps(real([*lines, 'z==9'])))", "z 9 is in it, and was not audited"),
        ("print(json.dumps(real([*lines, lines[0]])))", "a 1.0 is in it 2 times"),
        ("print(json.dumps(real([lines[0] + '.1', lines[1]])))", "a 1.0 was audited, and is not in it"),
        ("print(json.dumps(real([])))", "a 1.0 was audited, and is not in it"),
        (NESTED, "hidden 1 is in it, and was not audited"),
        (MODEL, "m-npz 1 is in it, and was not audited"),
        ("print('<html>')", "can not be read"),
        ("print('{}')", "a 1.0 was audited, and is not in it"),
        ("print('[' * 100000)", "can not be read"),
        ("print('{\"components\": [{\"name\": 3}]}')", "can not be read"),
        ("sys.stdout.buffer.write(bytes(range(256)))", "can not be read"),
        ("", "can not be read"),
        ("sys.exit('it broke at https://ada:hunter2@a.invalid/')", "ended with status 1: it broke at https://a.invalid/"),
        ("os.kill(os.getpid(), 9)", "cyclonedx-py was killed by SIGKILL"),
    ],
    ids=[
        *("drops", "adds", "twice", "another version", "nothing at all", "nested", "a model", "HTML", "an empty object"),
        *("deep", "wrong types", "bytes", "silence", "fails", "is killed"),
    ],
)  # fmt: skip
def test_a_tool_that_can_not_be_believed_is_no_evidence(
    body: str, cause: str, fake: Callable[[str], None], tmp_path: Path
) -> None:
    fake(body)

    with pytest.raises(NoEvidence, match=re.escape(cause)) as caught:
        bill_of(tmp_path, inventory_of("a==1.0", "b==2.0"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "a==1 --hash=x",
        "a==1\nb==2",
        "a==1 # comment",
        "a==",
        "a==1;x",
        "a==1\\",
        "-r /etc/passwd==1",
        "é==1",
    ],
)
def test_pins_that_are_no_requirement_never_become_another_one(text: str, tmp_path: Path) -> None:
    with pytest.raises(NoEvidence, match="was audited, and is not in it") as caught:
        bill_of(tmp_path, inventory_of("b==2", text))
    assert str(caught.value).isprintable()


def test_a_bill_is_only_of_what_was_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = inventory_of("a==1", "b==2")
    with pytest.raises(NoEvidence, match="other pins were audited"):
        bill_of(tmp_path, inventory, clean(inventory_of("a==1")))
    with pytest.raises(NoEvidence, match="there is no pin"):
        bill_of(tmp_path, Inventory(()), clean(Inventory(())), version="1.7")
    monkeypatch.setattr(tools, "BESIDE_PYTHON", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEvidence, match="cyclonedx-py is not installed"):
        bill_of(tmp_path, inventory)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sound")
    (folder / "m.safetensors").write_bytes(GOOD)
    inventory = inventory_of("a==1", "b==2")
    audited = audit(inventory, [source_of(folder, record("PYSEC-2", "a", "introduced 0"))])
    return bill_of(folder, inventory, audited, models=("m.safetensors",))


def without(*path: Any) -> Callable[[Any], None]:
    def change(bill: Any) -> None:
        for key in path[:-1]:
            bill = bill[key]
        del bill[path[-1]]

    return change


def to(value: Any, *path: Any) -> Callable[[Any], None]:
    def change(bill: Any) -> None:
        for key in path[:-1]:
            bill = bill[key]
        bill[path[-1]] = value

    return change


def added(part: str, value: Any) -> Callable[[Any], None]:
    return lambda bill: bill[part].append(value)


LIBRARY = {
    "type": "library",
    "name": "B",
    "version": "2",
    "supplier": {"name": "x"},
    "purl": "pkg:pypi/x@2",
    "bom-ref": "b",
}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (to("1.7", "specVersion"), "it is no CycloneDX 1.6"),
        (to("x", "components", 0, "type"), "it is not of the schema of CycloneDX 1.6: $.components[0].type: 'x' is not one of"),
        (to(1, "unknown"), "it is not of the schema of CycloneDX 1.6: $: Additional properties are not allowed"),
        (without("components", 0), "a 1 was audited, and is not in it"),
        (to("1.0", "components", 0, "version"), "a 1 was audited, and is not in it"),
        (added("components", LIBRARY), "b 2 is in it 2 times"),
        (without("components", 2), "the checkpoint m.safetensors is not in it with its SHA-256"),
        (to("0" * 64, "components", 2, "hashes", 0, "content"), "the checkpoint m.safetensors is not in it with its SHA-256"),
        (to("x.npz", "components", 2, "name"), "the checkpoint x.npz is in it, and was not looked at"),
        (without("components", 2, "hashes"), "the checkpoint m.safetensors is not in it with its SHA-256"),
        (without("components", 0, "supplier"), "a has no supplier"),
        (to({"name": ""}, "components", 0, "supplier"), "a has no supplier"),
        (without("components", 0, "purl"), "a has no purl"),
        (without("components", 2, "version"), "m.safetensors has no version"),
        (without("metadata", "authors"), "it names no author"),
        (without("metadata", "timestamp"), "it has no timestamp"),
        (without("metadata", "component"), "it does not say of what it is the bill"),
        (without("metadata", "component", "supplier"), "Shop has no supplier"),
        (without("metadata"), "it names no author"),
        (to("pkg:pypi/b@2", "components", 0, "purl"), "pkg:pypi/b@2 names 2 things"),
        (to("pkg:pypi/b@2", "vulnerabilities", 0, "bom-ref"), "pkg:pypi/b@2 names 2 things"),
        (to([{"ref": "nobody"}], "vulnerabilities", 0, "affects"), "nobody is named, and is not in it"),
        (added("compositions", {"aggregate": "complete", "dependencies": ["nobody"]}), "nobody is named, and is not in it"),
        (without("dependencies"), "nothing says what a needs"),
        (added("dependencies", {"ref": "nobody"}), "nobody is named, and is not in it"),
    ],
    ids=[
        *("of another version", "no type", "unknown key", "dropped", "another version", "twice", "no checkpoint"),
        *("another checkpoint", "one more checkpoint", "no hash", "no supplier", "empty supplier", "no purl"),
        *("no version", "no author", "no time", "no project", "nobody's project", "no metadata", "one purl", "one ref"),
        *("affects nobody", "composed of nobody", "no needs", "needs of nobody"),
    ],
)  # fmt: skip
def test_a_fault_is_found(change: Callable[[Any], None], fault: str, sound: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(GOOD)
    checkpoints = read_checkpoints(tmp_path, ["m.safetensors"])
    bill = json.loads(sound)
    change(bill)
    faults = faults_of(json.dumps(bill), inventory_of("a==1", "b==2"), "1.6", checkpoints)

    assert [one for one in faults if one.startswith(fault)]
    assert all(one.isprintable() and len(one) <= 200 for one in faults)


def test_a_sound_bill_has_no_fault(sound: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(GOOD)
    checkpoints = read_checkpoints(tmp_path, ["m.safetensors"])

    assert faults_of(sound, inventory_of("a==1", "b==2"), "1.6", checkpoints) == []
    assert faults_of(sound, inventory_of("a==1", "b==2"), "1.6") == [
        "the checkpoint m.safetensors is in it, and was not looked at"
    ]


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 10**5, '{"specVersion": "1.6"}', '"\\ud800"', "NaN"])
def test_what_is_no_document_has_a_fault_and_no_traceback(text: str) -> None:
    assert len(faults_of(text, inventory_of("a==1"), "1.6")) == 1
