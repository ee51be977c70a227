"""The train's commands on real repositories: what makes a train, what may begin, and what others read."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import icalendar
import pytest

from pytest_artisan.cli import main
from pytest_artisan.git import done
from pytest_artisan.policy import load_policy
from pytest_artisan.release.record import read
from pytest_artisan.release.tags import Release, write
from pytest_artisan.settings import SettingsError

POLICY = '[project]\nname = "shop"\n[tool.artisan.train]\nzone = "Asia/Seoul"\n'


def at(text: str) -> datetime:
    """A time of November 2026, by the clocks of Seoul; the 23rd is a Monday."""
    return datetime.strptime(f"2026-11-{text} +0900", "%Y-%m-%d %H:%M %z").astimezone(UTC)


class Repository:
    """A repository whose commits have the times that they are given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q", "-b", "main", "--template=")
        with (path / ".git/config").open("a") as config:
            config.write("[user]\nname = Ann\nemail = ann@example.test\n")
        (path / "pyproject.toml").write_text(POLICY)
        self.git("add", "pyproject.toml")
        self.first = self.commit("20 12:00")

    def commit_policy(self, text: str, when: str = "20 13:00") -> str:
        (self.path / "pyproject.toml").write_text(text)
        self.git("add", "pyproject.toml")
        return self.commit(when)

    def git(self, *arguments: str, when: str = "20 12:00") -> str:
        dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), at(when).isoformat())
        return done(self.path, *arguments, extra=dates).stdout.strip()

    def commit(self, when: str) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", when, when=when)
        return self.git("rev-parse", "HEAD")

    def run(self, *arguments: str, when: str) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as out, redirect_stderr(out):
            status = main(["train", *arguments], clock=lambda: at(when))
        return status, out.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("made"))


@pytest.fixture
def repository(made: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    shutil.copytree(made.path, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    own = copy.copy(made)
    own.path = tmp_path
    return own


def test_a_commit_makes_the_train_that_its_freeze_holds(repository: Repository) -> None:
    early = repository.commit("23 17:58")
    repository.git("checkout", "-q", "-b", "feature/late")
    written_early = repository.commit("23 17:59")
    repository.git("checkout", "-q", "main")
    assert repository.run("check", written_early, when="23 17:00") == (1, f"""\
NO-GO: {written_early[:12]} for the train to stg of Tue 2026-11-24 10:00 +09:00: it is not on main; \
merge it before the feature freeze of Mon 2026-11-23 18:00 +09:00
NO-GO: {written_early[:12]} for the train to prod of Fri 2026-11-27 10:00 +09:00: it is not on main; \
merge it before the feature freeze of Mon 2026-11-23 18:00 +09:00
""")  # fmt: skip
    repository.git("merge", "-q", "--no-ff", "-m", "late", "feature/late", when="23 18:00")
    for name, commit, first in (("early", early, 0), ("merged late", written_early, 1), ("HEAD", "HEAD", 1)):
        status, told = repository.run("check", commit, when="24 09:00")
        assert status == first, (name, told)
        assert ("it came to main before" if name == "early" else "it came to main after") in told
        assert "to prod of Fri 2026-11-27 10:00 +09:00: no tag release-candidate-20261123 here" in told
    assert repository.run("freeze", when="24 09:00")[0] == 0
    assert repository.git("rev-parse", "release-candidate-20261123^{commit}") == early
    assert repository.git("cat-file", "-t", "release-candidate-20261123") == "tag"
    for when in ("24 09:00", "25 09:00"):
        # On Wednesday, Friday's train is the next one, and carries the same.
        assert repository.run("check", early, when=when)[0] == 0
        assert repository.run("check", written_early, when=when)[0] == 1
    _, told = repository.run("check", written_early, when="25 09:00")
    assert told.splitlines()[0].endswith("prod of Fri 2026-11-27 10:00 +09:00: it is not in release-candidate-20261123")
    assert told.splitlines()[1].startswith("GO: ")
    assert "Tue 2026-12-01 10:00" in told.splitlines()[1]


def test_a_freeze_is_tagged_once_in_its_time_and_on_a_clean_checkout(repository: Repository) -> None:
    for when, told in (("23 17:59", "the next feature freeze is Mon 2026-11-23 18:00"), ("24 14:00", "Mon 2026-11-30")):
        status, line = repository.run("freeze", when=when)
        assert status == 2
        assert told in line
    (repository.path / "pyproject.toml").write_text(POLICY + "# changed\n")
    _, told = repository.run("freeze", when="23 18:00")
    assert told == "artisan: commit or stash what differs from the last commit: changed pyproject.toml\n"
    assert repository.git("tag") == ""
    repository.git("checkout", "-q", ".")
    assert repository.run("freeze", when="23 18:00") == (
        0,
        f"release-candidate-20261123 is {repository.first[:12]}, which main was at the feature freeze; "
        "git push origin release-candidate-20261123 tells the others\n",
    )
    tag = repository.git("cat-file", "tag", "release-candidate-20261123")
    assert f"tagger Ann <ann@example.test> {int(at('23 18:00').timestamp())}" in tag
    assert "Feature freeze of Mon 2026-11-23 18:00 +09:00" in tag
    status, line = repository.run("freeze", when="23 18:01")
    assert status == 2
    assert "the tag release-candidate-20261123 exists" in line


@pytest.mark.parametrize("commit", ["nope", "-x", "", "HEAD:pyproject.toml", "a b\n", "가", "0" * 40])
def test_an_unknown_commit_is_one_line(repository: Repository, commit: str) -> None:
    status, line = repository.run("check", "--", commit, when="24 09:00")
    assert status == 2
    assert line.startswith("artisan: git knows no commit ")
    assert line.count("\n") == 1


def test_what_a_shallow_clone_can_not_tell_it_says(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("23 12:00")
    repository.commit("23 19:00")
    clone = tmp_path / "clone"
    repository.git("clone", "-q", "--depth=1", f"file://{tmp_path}", str(clone))
    monkeypatch.chdir(clone)
    assert repository.run("check", "HEAD", when="23 12:00")[0] == 0
    status, line = repository.run("check", "HEAD", when="24 09:00")
    assert status == 2
    assert "this clone is shallow" in line
    repository.git("tag", "older", repository.first)
    done(clone, "fetch", "-q", "--depth=1", "origin", "tag", "older")
    status, line = repository.run("check", "older", when="23 12:00")
    assert status == 2
    assert "this clone is shallow" in line
    done(clone, "checkout", "-q", "--detach")
    done(clone, "update-ref", "-d", "refs/heads/main")
    done(clone, "update-ref", "-d", "refs/remotes/origin/main")
    for command in (["check", "HEAD"], ["open", "stg"], ["freeze"]):
        status, line = repository.run(*command, when="24 09:00")
        assert status == 2
        assert "this clone has no branch main" in line


def test_origins_main_counts_more_than_ones_own(repository: Repository) -> None:
    repository.git("update-ref", "refs/remotes/origin/main", repository.first)
    mine = repository.commit("23 12:00")
    assert repository.run("check", repository.first, when="23 12:00")[0] == 0
    assert "it is not on origin/main; merge it" in repository.run("check", mine, when="23 12:00")[1]
    assert "it is not on origin/main; the feature freeze was" in repository.run("check", mine, when="24 09:00")[1]


def test_a_commit_that_stg_never_took_makes_no_train_to_prod(repository: Repository) -> None:
    off = FROZEN.replace("2026-11-27", "2026-11-24").replace("2026-11-29", "2026-11-24").replace("prod", "stg")
    commit = repository.commit_policy(POLICY + off)
    for when in ("23 12:00", "25 12:00"):
        _, told = repository.run("check", commit, when=when)
        assert f"NO-GO: {commit[:12]} for the train to prod of Fri 2026-11-27 10:00 +09:00" in told
        assert "the train to stg of Tue 2026-11-24 10:00 +09:00, which takes it there first, is cancelled" in told
    _, told = repository.run("next", when="23 12:00")
    texts = [line.split("  ")[-1] for line in told.splitlines()]
    assert "regression in stg, to Thu 2026-11-26, cancelled" in texts
    assert "go/no-go, cancelled" in texts
    assert "dev -> stg, cancelled: the fair" in texts
    assert texts[-2:] == ["dev -> stg", "regression in stg, to Thu 2026-12-03"]


def test_a_deployment_begins_in_its_window(repository: Repository) -> None:
    assert repository.run("open", "stg", when="24 10:00") == (
        0,
        "GO: the train of Tue 2026-11-24 10:00 +09:00 takes deployments until Tue 2026-11-24 14:00 +09:00\n",
    )
    assert repository.run("open", "prod", when="24 10:00") == (
        1,
        "NO-GO: no train to prod takes deployments now; the next window opens Fri 2026-11-27 10:00 +09:00\n",
    )
    assert repository.run("open", "dev", when="25 10:00") == (0, "GO: dev takes deployments at any time\n")
    assert read(repository.path) == ()


OTHER = POLICY + 'prod = "Thu 09:00"\n'


def test_no_checkout_opens_a_window_for_itself(repository: Repository) -> None:
    (repository.path / "pyproject.toml").write_text(OTHER)
    remark = "the timetable of main counts; that of this checkout differs\n"
    assert repository.run("open", "prod", when="26 09:00") == (
        1,
        f"{remark}NO-GO: no train to prod takes deployments now; the next window opens Fri 2026-11-27 10:00 +09:00\n",
    )
    for command in (["next"], ["calendar"], ["check", "HEAD"]):
        _, told = repository.run(*command, when="26 08:00")
        assert told.startswith(remark)
        assert "prod" in told
        assert "Thu 2026-11-26 09:00" not in told
    repository.commit_policy(OTHER)
    assert repository.run("open", "prod", when="26 09:00")[0] == 0


FROZEN = '\n[[tool.artisan.train.freezes]]\nfrom = 2026-11-27\nto = 2026-11-29\nwhy = "the fair"\nonly = "prod"\n'


def test_a_freeze_of_main_counts_whatever_is_checked_out(repository: Repository) -> None:
    (repository.path / "pyproject.toml").write_text(POLICY + FROZEN)
    frozen = (1, "NO-GO: frozen until Mon 2026-11-30 00:00 +09:00: the fair; "
                 "the next window opens Fri 2026-12-04 10:00 +09:00\n")  # fmt: skip
    assert repository.run("open", "prod", when="27 10:00") == frozen
    repository.git("commit", "-q", "-a", "-m", "freeze")
    repository.git("checkout", "-q", "--detach", repository.first)
    assert repository.run("open", "prod", when="27 10:00") == frozen
    repository.git("checkout", "-q", "main")
    (repository.path / "pyproject.toml").write_text(POLICY)
    assert repository.run("open", "prod", when="27 10:00") == frozen
    longer = FROZEN.replace("2026-11-29", "2026-12-31").replace("fair", "move")
    (repository.path / "pyproject.toml").write_text(POLICY + longer)
    _, told = repository.run("open", "prod", when="27 10:00")
    assert "frozen until Fri 2027-01-01 00:00 +09:00: the move; the next window opens Fri 2027-01-01 10:00" in told
    (repository.path / "pyproject.toml").write_text("[tool.artisan.train]\nzone = 5")
    assert repository.run("open", "prod", when="27 10:00")[0] == 2


def test_a_repository_that_git_can_not_read_is_no_answer(repository: Repository) -> None:
    (repository.path / ".git/HEAD").write_text("damaged")
    status, line = repository.run("open", "stg", when="24 10:00")
    assert status == 2
    assert "not a git repository" in line


def test_a_broken_file_on_main_is_told(repository: Repository) -> None:
    (repository.path / "pyproject.toml").write_text("[tool.artisan.train]\nopen = 'x'\n")
    repository.git("commit", "-q", "-a", "-m", "broken")
    (repository.path / "pyproject.toml").write_text(POLICY)
    status, line = repository.run("open", "stg", when="24 10:00")
    assert status == 2
    assert line.startswith("artisan: main: pyproject.toml [tool.artisan] train open: 'x' is no duration")


def test_an_override_is_on_the_record_before_the_answer(repository: Repository) -> None:
    status, told = repository.run("open", "prod", "--override", "the board said so", when="25 10:00")
    assert status == 0
    assert told.startswith("GO: override the board said so, on the record, although no train to prod")
    [entry] = read(repository.path)
    assert (entry.at, entry.who, entry.action) == (at("25 10:00"), "Ann <ann@example.test>", "override")
    assert entry.subject == "deployment to prod although no train to prod takes deployments now"
    assert entry.why == "the board said so"
    assert repository.run("open", "prod", "--override", " ", when="25 10:00")[0] == 2
    assert repository.run("open", "prod", "--override", "", when="25 10:00")[0] == 1
    repository.run("open", "prod", "--override", "no need", when="27 10:00")
    assert repository.run("open", "stg", "--override", "\x1b[2J\nGO", when="25 10:00")[1].startswith(
        "GO: override  [2J GO, "
    )
    assert len(read(repository.path)) == 2, "within a window nothing is overridden"
    shutil.rmtree(repository.path / ".artisan")
    (repository.path / ".artisan").write_text("in the way")
    status, told = repository.run("open", "prod", "--override", "why", when="25 10:00")
    assert status == 2
    assert "record.jsonl" in told


def test_a_released_hotfix_needs_no_window_and_no_end_of_a_freeze(repository: Repository) -> None:
    (repository.path / "pyproject.toml").write_text(POLICY + FROZEN)
    version = "hotfix-20261127-0100"

    def opened(hotfix: str) -> tuple[int, str]:
        return repository.run("open", "prod", "--hotfix", hotfix, when="27 10:30")

    assert opened("v1.0.0") == (2, "artisan: 'v1.0.0' is no version of a hotfix; they are named hotfix-YYYYMMDD-HHMM\n")
    assert opened(version)[1] == f"artisan: {version}: there is no such tag here; artisan hotfix finish makes it\n"
    repository.git("tag", version)
    assert opened(version) == (2, f"artisan: {version}: not annotated, so it holds no record\n")
    assert read(repository.path) == ()
    repository.git("tag", "-d", version)
    release = Release(
        version, repository.first, at("27 10:00"), "Ann <ann@example.test>", "fix", no_model="none changed"
    )
    repository.git("update-ref", f"refs/tags/{version}", write(repository.path, release))
    status, told = opened(version)
    assert status == 0
    assert told == f"GO: hotfix {version}, on the record, although frozen until Mon 2026-11-30 00:00 +09:00: the fair\n"
    [entry] = read(repository.path)
    assert (entry.action, entry.why) == ("hotfix", version)


def test_next_shows_all_moments_of_the_next_trains(repository: Repository) -> None:
    assert repository.run("next", when="23 17:01") == (0, """\
Mon 2026-11-23 18:00 +09:00  2026-11-23 09:00Z             in 59 min  feature freeze: release-candidate-20261123
Tue 2026-11-24 09:00 +09:00  2026-11-24 00:00Z        in 15 h 59 min  go/no-go
Tue 2026-11-24 10:00 +09:00  2026-11-24 01:00Z        in 16 h 59 min  dev -> stg
Tue 2026-11-24 10:00 +09:00  2026-11-24 01:00Z        in 16 h 59 min  regression in stg, to Thu 2026-11-26
Fri 2026-11-27 10:00 +09:00  2026-11-27 01:00Z    in 3 d 16 h 59 min  stg -> prod
""")  # fmt: skip
    (repository.path / "pyproject.toml").write_text(POLICY + FROZEN)
    _, told = repository.run("next", when="24 13:59")
    lines = told.splitlines()
    assert [line.split("  ")[-1] for line in lines[:4]] == [
        "dev -> stg", "regression in stg, to Thu 2026-11-26", "no deployment to prod until Mon 2026-11-30 00:00 +09:00: the fair", "stg -> prod, cancelled: the fair",
    ]  # fmt: skip
    assert "  now  " in lines[0]
    assert lines[-1].startswith("Fri 2026-12-04 10:00 +09:00")
    assert "regression" in repository.run("next", when="24 14:00")[1].splitlines()[0], "that train is over"


def calendar(repository: Repository, *arguments: str) -> list[dict[str, Any]]:
    """The events as the library reads them, their times as datetime or date."""
    status, text = repository.run("calendar", "--format", "ics", *arguments, when="23 09:00")
    assert status == 0
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert text.count("\n") == text.count("\r\n")
    found = icalendar.Calendar.from_ical(text).walk("VEVENT")
    return [{key.lower(): getattr(value, "dt", str(value)) for key, value in event.items()} for event in found]


HOSTILE = '\n[[tool.artisan.train.freezes]]\nfrom = 2026-11-24T11:30:00\nto = 2026-11-24T12:00:00\nwhy = """%s"""\n'


def test_the_calendar_is_read_by_others(repository: Repository) -> None:
    why = "안; a,b\\\\n\nEND:VEVENT\r\nBEGIN:VEVENT\n" + "x" * 200
    (repository.path / "pyproject.toml").write_text(POLICY + FROZEN * 2 + HOSTILE % why)
    found = calendar(repository, "--weeks", "52")
    assert len(found) == 52 * 5 + 2
    uids = {event["uid"] for event in found}
    assert len(uids) == len(found)
    assert uids == {event["uid"] for event in calendar(repository, "--weeks", "52")}
    assert uids > {event["uid"] for event in calendar(repository)}
    assert {event["dtstamp"] for event in found} == {at("23 09:00")}

    def times(begin: str) -> list[tuple[object, object]]:
        return [(e["dtstart"], e.get("dtend")) for e in found if e["summary"].startswith(begin)]

    weeks = [timedelta(weeks=week) for week in range(52)]
    assert times("dev -> stg") == [(at("24 10:00") + week, at("24 14:00") + week) for week in weeks]
    assert times("feature freeze") == [(at("23 18:00") + week, None) for week in weeks]
    assert times("stg -> prod, cancelled: the fair") == [(at("27 10:00"), at("27 14:00"))]
    assert [event["dtstart"] for event in found if event["status"] == "CANCELLED"] == [at("27 10:00")]
    assert times("no deployment to prod until Mon 2026-11-30 00:00 +09:00: the fair") == [
        (date(2026, 11, 27), date(2026, 11, 30))
    ]
    assert times("regression in stg, to Thu 2026-11-26") == [(date(2026, 11, 24), date(2026, 11, 27))]
    assert times("no deployment at all until Tue 2026-11-24 12:00 +09:00: 안; a,b\\n END:VEVENT") == [
        (at("24 11:30"), at("24 12:00"))
    ]


def test_the_calendar_as_text_is_bounded(repository: Repository) -> None:
    status, text = repository.run("calendar", when="23 09:00")
    assert status == 0
    assert text.count("dev -> stg") == 4
    assert repository.run("calendar", "--weeks", "105", when="23 09:00") == (2, "artisan: --weeks 105: at most 104\n")


def test_outside_of_a_repository_the_timetable_still_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "open", "stg"], clock=lambda: datetime(2026, 11, 24, 10, tzinfo=UTC)) == 0
    assert main(["train", "open", "stg"], clock=lambda: datetime(2026, 11, 24, 9, tzinfo=UTC)) == 1
    assert main(["train", "check", "HEAD"]) == 2
    assert capsys.readouterr().err.startswith("artisan: git knows no commit 'HEAD' here")


def test_a_session_refuses_a_wrong_train_and_its_digest_leaves_it_out(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    before = load_policy(tmp_path).digest
    path.write_text(POLICY + FROZEN)
    assert load_policy(tmp_path).digest == before
    path.write_text(POLICY.replace("Asia/Seoul", "Asia/Soul"))
    with pytest.raises(SettingsError, match="the nearest is 'Asia/Seoul'"):
        load_policy(tmp_path)


def test_the_policy_loads_without_what_only_the_train_needs() -> None:
    heavy = "icalendar", "semver"
    code = f"import sys, pytest_artisan.cli, pytest_artisan.policy; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
