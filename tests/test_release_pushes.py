"""`artisan release tag --push`: at the remote and here, or at neither."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import release_house
from release_house import AT, Shop, git

from pytest_artisan.release.tagging import Order, alone, make, rule
from pytest_artisan.verdict.evidence import NoEvidence

# The fixtures of both modules.
place, shop = release_house.place, release_house.shop


def test_a_remote_that_refuses_leaves_nothing_behind(shop: Shop) -> None:
    shop.hook("pre-receive", "echo the shop is closed; exit 1")
    status, out, err = shop.tag("v1.0.0", "--push")
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert "refs/tags/v1.0.0 [remote rejected] (pre-receive hook declined)" in line
    assert "the shop is closed" in line
    assert shop.tags() == shop.tags(shop.remote) == {}
    shop.hook("pre-receive", "exit 0")
    assert shop.tag("v1.0.0", "--push")[0] == 0


def test_a_tag_that_can_not_be_made_here_is_told_to_be_at_the_remote(shop: Shop) -> None:
    git(shop.path, "update-ref", "refs/tags/v1.0.0/x", "HEAD")
    status, out, err = shop.tag("v1.0.0", "--push")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        "artisan: v1.0.0 is released at origin, and not here (git fetch origin tag v1.0.0): git update-ref"
    )
    git(shop.path, "tag", "-d", "v1.0.0/x")
    git(shop.path, "fetch", "-q", "origin", "tag", "v1.0.0")
    assert shop.artisan("verify", "v1.0.0")[0] == 0


def test_an_address_with_a_password_is_never_told(shop: Shop) -> None:
    address = "https://me:se@cret@host.test/x"
    git(shop.path, "config", f"url.{shop.remote}.insteadOf", address)
    for _ in range(2):
        status, out, err = shop.tag("v1.0.0", f"--push={address}")
        assert "https://***@host.test/x" in out + err
        assert "cret" not in out + err
        git(shop.path, "tag", "-d", "v1.0.0", check=False)
    assert status == 1


def test_a_tag_that_the_remote_alone_has_is_not_made_again(shop: Shop) -> None:
    shop.tag("v1.0.0", "--push")
    git(shop.path, "tag", "-d", "v1.0.0")
    for override in ((), ("--override", "why not")):
        status, _, err = shop.tag("v1.0.0", "--push", *override)
        assert (status, err) == (1, "refused: v1.0.0 exists already at origin (git fetch origin tag v1.0.0)\n")
    git(shop.path, "fetch", "-q", "origin", "tag", "v1.0.0")
    assert shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model")[0] == 0


@pytest.mark.parametrize("where", ["in one repository", "in two, at one remote"])
def test_of_two_at_once_exactly_one_wins(shop: Shop, where: str) -> None:
    shop.exclude("/model/\n/verdict.json")
    other = shop.path
    if where != "in one repository":
        other = shop.path.parent / "other"
        git(shop.path.parent, "clone", "-q", str(shop.path), "other")
        git(other, "remote", "set-url", "origin", str(shop.remote))
        git(other, "config", "user.name", "Lee")
    together = Barrier(2)

    def release(folder: Path) -> str:
        order = Order("v1.0.0", "n", no_model="w", override="race", remote="origin")
        together.wait(30)
        with alone(folder):
            ruling = rule(folder, order, "", lambda environment: "", AT)
            try:
                if not ruling.refusals:
                    make(folder, ruling.release, order.remote)
            except NoEvidence as error:
                return str(error)
        return "".join(ruling.refusals)

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(release, (shop.path, other)))
    assert sorted(map(bool, said)) == [False, True], said
    assert "v1.0.0" in "".join(said)
    winner, loser = (shop.path, other) if not said[0] else (other, shop.path)
    assert shop.tags(shop.remote) == shop.tags(winner) != {}
    assert where == "in one repository" or shop.tags(loser) == {}


def test_ctrl_c_during_a_push_leaves_nothing(shop: Shop) -> None:
    shop.hook("pre-receive", f"kill -INT {os.getpid()}; sleep 60")
    assert shop.tag("v1.0.0", "--push") == (130, "", "artisan: interrupted\n")
    assert shop.tags() == shop.tags(shop.remote) == {}
    shop.hook("pre-receive", "exit 0")
    assert shop.tag("v1.0.0", "--push")[0] == 0


def test_a_release_that_is_killed_in_mid_push_is_whole_at_the_remote(shop: Shop) -> None:
    shop.exclude("/model/\n/verdict.json")
    pipe = shop.path.parent / "pipe"
    os.mkfifo(pipe)
    shop.hook("pre-receive", f"echo arrived > {pipe}; read go < {pipe}")
    shop.hook("post-receive", f"echo done > {pipe}")
    given = ["release", "tag", "v1.0.0", "--notes", "n", "--no-model", "w", "--override", "killed", "--push"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_artisan", *given], cwd=shop.path, env=environment, stdout=subprocess.DEVNULL
    )
    assert pipe.read_text() == "arrived\n"
    process.kill()
    process.wait()
    pipe.write_text("go\n")
    assert pipe.read_text() == "done\n"
    assert shop.tags() == {}
    assert "(git fetch origin tag v1.0.0)" in shop.tag("v1.0.0", "--push")[2]
    git(shop.path, "fetch", "-q", "origin", "tag", "v1.0.0")
    assert shop.artisan("verify", "v1.0.0")[0] == 0
