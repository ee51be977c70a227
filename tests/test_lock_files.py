"""What a project installs, from every kind of file that says so, as it is written and as somebody may have broken it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from inventory_files import ADDRESS, CONTRADICT, UNPINNED, ZEROS, left, pins, read

from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inventory import NoAudit

# pylock.toml

PYLOCK = 'lock-version = "1.0"\ncreated-by = "test"\n'


def locked(name: str, *more: str, version: str = "1.0", source: str = "") -> str:
    wheel = (
        f'{{ url = "https://u:hunter2@a.invalid/{name}-1.0-py3-none-any.whl", hashes = {{ sha256 = "{"0" * 64}" }} }}'
    )
    lines = [f'name = "{name}"', f'version = "{version}"' if version else "", *more, source or f"wheels = [{wheel}]"]
    return "\n".join(["[[packages]]", *(line for line in lines if line), ""])


def test_a_shared_lock_has_pins_with_hashes_a_graph_and_the_project(tmp_path: Path) -> None:
    sdist = """sdist = { url = "https://a.invalid/y-2.0.tar.gz", hashes = { sha256 = "ab", sha512 = "cd" } }"""
    found = read(
        tmp_path,
        {
            "pylock.toml": PYLOCK
            + locked("own", 'dependencies = [{ name = "x" }, { name = "gone" }]', source='directory = { path = "." }')
            + locked("x", 'dependencies = [{ name = "y", version = "2.0" }]')
            + locked("y", version="v2.0", source=sdist)
        },
    )

    assert pins(found) == [("x", "1.0", "pylock.toml:8"), ("y", "2.0", "pylock.toml:13")]
    assert [pin.hashes for pin in found.pins] == [(ZEROS,), ("sha256:ab", "sha512:cd")]
    assert found.requires == {"own": ("x",), "x": ("y",)}
    assert found.root == ("own", "1.0")


@pytest.mark.parametrize(
    ("head", "packages", "names"),
    [
        ("", [("x", "python_version < '3'"), ("y", "python_version > '3'")], ["y"]),
        ("environments = [\"os_name == 'none'\", \"os_name != 'none'\"]", [("x", "os_name != 'none'")], ["x"]),
        (
            'extras = ["e"]\ndependency-groups = ["dev", "doc"]\ndefault-groups = ["dev"]',
            [("x", "'dev' in dependency_groups"), ("y", "'doc' in dependency_groups"), ("z", "'e' in extras")],
            ["x"],
        ),
    ],
    ids=["a Python", "one of the environments", "the default groups"],
)
def test_a_shared_lock_is_read_for_the_python_that_runs_this(
    head: str, packages: list[tuple[str, str]], names: list[str], tmp_path: Path
) -> None:
    text = PYLOCK + head + "\n" + "".join(locked(name, f'marker = "{marker}"') for name, marker in packages)

    assert [pin.name for pin in read(tmp_path, {"pylock.dev.toml": text}).pins] == names


def test_an_audit_minds_not_whether_the_files_of_a_release_fit_this_machine(tmp_path: Path) -> None:
    wheel = 'wheels = [{ name = "x-1.0-cp27-cp27m-win32.whl", url = "x", hashes = { sha256 = "00" } }]'

    assert pins(read(tmp_path, {"pylock.toml": PYLOCK + locked("x", source=wheel)})) == [("x", "1.0", "pylock.toml:3")]


def test_what_a_shared_lock_takes_from_elsewhere_is_not_audited(tmp_path: Path) -> None:
    git = 'vcs = { type = "git", url = "https://u:hunter2@a.invalid/r", commit-id = "1" }'
    archive = 'archive = { url = "https://u:hunter2@a.invalid/z.zip", hashes = { sha256 = "00" } }'
    packages = [
        locked("x", source=git, version=""),
        locked("y", source='directory = { path = "./sub" }'),
        locked("z", source=archive),
        locked("w", version=""),
    ]
    found = read(tmp_path, {"pylock.toml": PYLOCK + "".join(packages)})

    assert [(name, why) for name, why, _ in left(found)] == [
        ("x", ADDRESS),
        ("y", ADDRESS),
        ("z", ADDRESS),
        ("w", UNPINNED),
    ]
    assert "hunter2" not in repr(found)


def test_a_header_within_a_text_or_a_comment_is_none(tmp_path: Path) -> None:
    head = 'a = """\n[[packages]]\n"""\nb = \'\'\'\n[[packages]] # \'\'\' # """\n# [[packages]]\nc = "\'\'\'"\n'
    text = (PYLOCK + head + locked("x") + locked("y").replace("[[packages]]", "  [[ packages ]] # '''")).replace(
        "\n", "\r\n"
    )

    assert pins(read(tmp_path, {"pylock.toml": text})) == [
        ("x", "1.0", "pylock.toml:10"),
        ("y", "1.0", "pylock.toml:14"),
    ]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (PYLOCK + "environments = [\"python_version < '3'\"]\n" + locked("x"), "is not for this Python: .*environments"),
        (PYLOCK + 'requires-python = ">=9"\n' + locked("x"), "is not for this Python: .*'>=9'"),
        (PYLOCK + locked("x", 'requires-python = ">=9"'), "is not for this Python: .*'>=9' for package 'x'"),
        (PYLOCK + locked("x") + locked("x"), "Multiple packages with the name 'x'"),
        (PYLOCK + locked("x", "marker = \"python_version ~= 'abc'\""), "is not for this Python"),
        (PYLOCK + locked("x", 'marker = "((("'), r"PEP 751: .* in 'packages\[0\].marker'"),
        (PYLOCK + locked("X_y"), r"PEP 751: Name 'X_y' is not normalized in 'packages\[0\].name'"),
        (PYLOCK + locked("x", version="bogus"), "PEP 751: Invalid version: 'bogus'"),
        (PYLOCK + locked("x", version="9" * 5000), "PEP 751: Exceeds the limit"),
        (PYLOCK + locked("x").replace("a.invalid", "a℀"), r"PEP 751: netloc '\*\*\*@a℀'"),
        (PYLOCK + locked("x").replace("00000", "zz"), "pylock.toml:3: has a hash that is not such"),
        (PYLOCK.replace("1.0", "2.0") + "packages = []", "version 2.0 is not supported"),
        (PYLOCK + "packages = []", "installs nothing"),
        (PYLOCK + locked("x", "marker = \"os_name == 'none'\""), "installs nothing"),
        (PYLOCK, "Missing required value in 'packages'"),
        (PYLOCK + locked("x")[:-9], "is no TOML: "),
        ("a = " + "[" * 100_000, "is no TOML: "),
        ("a = " + "9" * 5000, "is no TOML: "),
        (PYLOCK.encode("utf-16"), "is not UTF-8"),
    ],
    ids=[
        *("environments", "requires-python", "its package's", "twice", "comparison", "marker", "name", "version", "digits"),
        *("no address", "no hash", "form", "empty", "not here", "no packages", "cut", "deep", "a number", "UTF-16"),
    ],
)  # fmt: skip
def test_a_shared_lock_that_can_not_be_followed_is_no_audit(text: str | bytes, cause: str, tmp_path: Path) -> None:
    with pytest.raises(NoAudit, match=cause) as raised:
        read(tmp_path, {"pylock.toml": text})

    assert str(raised.value).startswith("pylock.toml")
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


# uv.lock

UV = 'version = 1\nrevision = 99\nrequires-python = ">=3.11"\nnobody-knows = 1\n'
INDEX = '{ registry = "https://u:hunter2@a.invalid/simple" }'


def held(name: str, version: str = "1.0", source: str = INDEX, *more: str) -> str:
    lines = [f'name = "{name}"', f'version = "{version}"' if version else "", f"source = {source}", *more]
    return "\n".join(["[[package]]", *(line for line in lines if line), ""])


@pytest.mark.parametrize("kind", ["virtual", "editable"])
def test_all_packages_of_a_lock_of_uv_are_pins_whoever_needs_them(kind: str, tmp_path: Path) -> None:
    own = held(
        "Own",
        "v0.1",
        f'{{ {kind} = "." }}',
        'dependencies = [{ name = "x", version = "1", marker = "os_name == \'none\'" }, { name = "x", version = "2" }]',
        "[package.optional-dependencies]",
        'a = [{ name = "y", extra = ["b"] }]',
        "[package.dev-dependencies]",
        'dev = [{ name = "z" }]',
    )
    files = 'sdist = { url = "u", hash = "sha256:00" }', 'wheels = [{ url = "v", hash = "sha256:01" }, { path = "w" }]'
    text = UV + own + held("x", "1", INDEX, *files) + held("x", "2") + held("y") + held("z", "v1.0")
    found = read(tmp_path, {"uv.lock": text})

    assert pins(found) == [
        ("x", "1", "uv.lock:14"),
        ("x", "2", "uv.lock:20"),
        ("y", "1.0", "uv.lock:24"),
        ("z", "1.0", "uv.lock:28"),
    ]
    assert found.pins[0].hashes == ("sha256:00", "sha256:01")
    assert found.requires == {"own": ("x", "y", "z"), "x": (), "y": (), "z": ()}
    assert found.root == ("own", "0.1")
    assert found.unaudited == ()


@pytest.mark.parametrize(
    "source",
    [
        '{ git = "https://u:hunter2@a.invalid/r?rev=1#2" }',
        '{ url = "https://u:hunter2@a.invalid/x.zip", subdirectory = "s" }',
        '{ editable = "member" }',
        '{ virtual = "member" }',
        '{ directory = "member" }',
        '{ path = "x-1.0-py3-none-any.whl" }',
        '{ registry = "a", url = "b" }',
        '{ of-tomorrow = "x" }',
        "{}",
    ],
)
def test_what_uv_takes_from_elsewhere_is_not_audited(source: str, tmp_path: Path) -> None:
    found = read(tmp_path, {"sub/uv.lock": UV + held("x", "1.0", source) + held("y", "")})

    assert left(found) == [("x", ADDRESS, "sub/uv.lock:5"), ("y", UNPINNED, "sub/uv.lock:9")]
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (UV.replace("version = 1\n", "version = 2\n", 1), "uv.lock: is a lock of version 2; 1 can be read"),
        (UV.replace("version = 1\n", "version = true\n", 1), "uv.lock: version: Expected int"),
        ("", "uv.lock: Object missing required field version"),
        (UV, "uv.lock: installs nothing"),
        (UV + held("x") + "[[pack", "uv.lock: is no TOML"),
        (UV + held("own", "1", '{ virtual = "." }', 'dependencies = [{ name = "x" }]'), "own needs x, which is not in it"),
        (UV + '[[package]]\nversion = "1"\nsource = {}', r"package\[0\]: Object missing required field name"),
        (UV + held("x", "1", "1"), r"package\[0\].source: Expected object, got int"),
        (UV + held("x", "1", INDEX, "dependencies = ['y']"), r"package\[0\].dependencies\[0\]: Expected object"),
        (UV + held("x", "1", INDEX, 'sdist = { hash = "md5" }'), "uv.lock:5: has a hash that is not such"),
        (UV + held("a b\\u001b[31m"), "uv.lock:5: has a name that no package can have"),
        (UV + held("x", "1\\n--index-url y"), "uv.lock:5: has a version that is none"),
        (UV + held("x", "1.0-odd"), "uv.lock:5: has a version that is none"),
        (UV + held("x", "https://u:hunter2@a.invalid"), "uv.lock:5: has a version that is none"),
        ((UV + "# ü\n" + held("x")).encode("latin-1"), "uv.lock: is not UTF-8"),
    ],
    ids=[
        *("version", "no version", "empty", "nothing", "cut", "cut between", "no name", "source", "dependency", "hash"),
        *("a name", "a line", "no version of PEP 440", "an address", "latin-1"),
    ],
)  # fmt: skip
def test_a_lock_of_uv_that_is_not_whole_is_no_audit(text: str | bytes, cause: str, tmp_path: Path) -> None:
    with pytest.raises(NoAudit, match=cause) as raised:
        read(tmp_path, {"uv.lock": text})

    assert "hunter2" not in str(raised.value)


# pyproject.toml


def test_a_project_has_what_it_states_for_itself_and_for_its_extras(tmp_path: Path) -> None:
    text = """
        [build-system]
        requires = ["x==1"]
        [project]
        name = "Own.P"
        version = "v1.0"
        dependencies = [
            # "x==1",
            "x==1",
            'Y>=2',
            "z @ https://u:hunter2@a.invalid/z.zip",
            "w==1; python_version < \\"3\\"",
            "v==1; python_version > \\"3\\"",
        ]
        [project.optional-dependencies]
        a = ["x==1", "own-p[b]"]
        b = ["t==1,==2"]
        [dependency-groups]
        dev = ["s==1"]
    """
    found = read(tmp_path, {"pyproject.toml": text})

    assert pins(found) == [
        ("x", "1", "pyproject.toml:9"),
        ("v", "1", "pyproject.toml:13"),
        ("x", "1", "pyproject.toml:16"),
    ]
    assert left(found) == [
        ("y", UNPINNED, "pyproject.toml:10"),
        ("z", ADDRESS, "pyproject.toml:11"),
        ("t", CONTRADICT, "pyproject.toml:17"),
    ]
    assert found.root == ("own-p", "1.0")
    assert found.requires == {"own-p": ("t", "v", "x", "y", "z")}


def test_what_only_a_build_could_tell_is_not_audited(tmp_path: Path) -> None:
    found = read(tmp_path, {"pyproject.toml": '[project]\nname = "own"\ndynamic = ["version", "dependencies"]'})

    assert [(name, why) for name, why, _ in left(found)] == [
        ("dependencies", "are dynamic, known only when the project is built")
    ]
    assert found.root == ("own", "")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[tool.x]", r"pyproject.toml: has no table \[project\]"),
        ('[project]\nname = "o"', "pyproject.toml: installs nothing"),
        ("project = 1", "pyproject.toml: project: Expected object"),
        ('[project]\nversion = "1"', "project: Object missing required field name"),
        ('[project]\nname = "o"\ndependencies = "x==1"', "project.dependencies: Expected array, got str"),
        ('[project]\nname = "o"\ndependencies = ["x", 1]', r"project.dependencies\[1\]: Expected str, got int"),
        ('[project]\nname = "o"\ndependencies = ["x==1",\n"no thing"]', "pyproject.toml:4: is no requirement"),
        ('[project]\nname = "o"\ndependencies = ["https://u:hunter2@a.invalid"]', "toml:3: is no requirement"),
        (
            '[project]\nname = "o"\ndependencies = ["x; \'a\' in extras"]',
            "toml:3: has a marker that can not be evaluated",
        ),
    ],
    ids=[
        "no project",
        "nothing",
        "no table",
        "no name",
        "a text",
        "a number",
        "no requirement",
        "an address",
        "a marker",
    ],
)
def test_a_project_that_states_nonsense_is_no_audit(text: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(NoAudit, match=cause) as raised:
        read(tmp_path, {"pyproject.toml": text})

    assert "hunter2" not in str(raised.value)


# Every kind of file


@pytest.mark.parametrize("file", ["requirements.txt", "uv.lock", "pylock.toml", "pyproject.toml"])
def test_what_is_no_file_is_no_audit(file: str, tmp_path: Path) -> None:
    with pytest.raises(NoAudit, match=f"{file}: does not exist"):
        inventory_of(tmp_path, [file])
    (tmp_path / file).mkdir()
    with pytest.raises(NoAudit, match=f"{file}: is no file"):
        inventory_of(tmp_path, [file])
    (tmp_path / file).rmdir()
    # A pipe that nobody writes to would never end.
    os.mkfifo(tmp_path / file)
    with pytest.raises(NoAudit, match=f"{file}: is no file"):
        inventory_of(tmp_path, [file])


@pytest.mark.parametrize("file", ["poetry.lock", "Pylock.toml", "pylock.a.b.toml", "other.toml", ""])
def test_an_unknown_kind_of_file_is_told_the_known_ones(file: str, tmp_path: Path) -> None:
    with pytest.raises(
        NoAudit, match=r"requirements files .*, pylock.toml .* uv.lock, pyproject.toml and 'environment'"
    ):
        inventory_of(tmp_path, [file])


def test_several_files_are_one_inventory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x==1\n")
    (tmp_path / "uv.lock").write_text(
        UV + held("own", "1", '{ virtual = "." }', 'dependencies = [{name = "x"}]') + held("x")
    )
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "own"\ndependencies = ["y==1"]')
    found = inventory_of(tmp_path, ["a.txt", "./a.txt", "uv.lock", "pyproject.toml"])

    assert pins(found) == [("x", "1", "a.txt:1"), ("x", "1.0", "uv.lock:10"), ("y", "1", "pyproject.toml:3")]
    assert found.requires == {"own": ("x", "y"), "x": ()}
    assert found.root == ("own", "1")
