"""`artisan release`: tags that bind a commit to its model and its verdict."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_artisan.commands import GO, NO_GO, Commands
from pytest_artisan.git import shown
from pytest_artisan.policy import load_policy
from pytest_artisan.release.checkpoints import Snapshot, differences, snapshot
from pytest_artisan.release.tagging import Order, Ruling, alone, make, rule
from pytest_artisan.release.tags import Release, releases
from pytest_artisan.release.versions import semantic
from pytest_artisan.settings import SettingsError, one_line, project_root


def add(commands: Commands) -> None:
    release = commands.add_parser("release", help="releases: annotated tags with model and verdict")
    parts = release.add_subparsers(required=True, metavar="COMMAND")
    tag = parts.add_parser("tag", help="release HEAD, with a GO verdict for it")
    tag.add_argument("version", help="such as v2.1.0")
    add_order(tag)
    tag.set_defaults(run=_tag)
    parts.add_parser("list", help="every release, the newest first").set_defaults(run=_list)
    show = parts.add_parser("show", help="all that is on record of one")
    show.set_defaults(run=_show)
    verify = parts.add_parser("verify", help="whether a release's record is sound, and the model the recorded one")
    verify.add_argument("--checkpoint-dir", type=Path, metavar="DIR", help="compare the model in this folder")
    verify.set_defaults(run=_verify)
    for command in (show, verify):
        command.add_argument("version")


def add_order(command: argparse.ArgumentParser) -> None:
    """The options that `order_of` reads."""
    command.add_argument("--notes", required=True, metavar="TEXT", help="what is new, for people")
    command.add_argument("--verdict", type=Path, metavar="FILE", help="the JSON report of the release's session")
    model = command.add_mutually_exclusive_group()
    model.add_argument("--checkpoint-dir", type=Path, metavar="DIR", help="the model: every file in this folder")
    model.add_argument("--no-model", type=_reason, metavar="WHY", help="release without a model")
    command.add_argument(
        "--push", nargs="?", const="origin", metavar="REMOTE", help="at the remote too (default: origin)"
    )
    command.add_argument("--override", type=_reason, metavar="WHY", help="release without a GO, on the record")


def order_of(options: argparse.Namespace, version: str) -> Order:
    """What these options order under this name."""
    return Order(
        version,
        options.notes,
        options.verdict,
        options.checkpoint_dir,
        options.no_model or "",
        options.override or "",
        options.push,
    )


def is_refused(ruling: Ruling) -> bool:
    """Whether anything speaks against a release; all of it is told."""
    for refusal in ruling.refusals:
        print(one_line(f"refused: {refusal}"), file=sys.stderr)
    for remark in () if ruling.refusals else ruling.remarks:
        print(one_line(remark))
    return bool(ruling.refusals)


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("say why")
    return text.strip()


def _tag(options: argparse.Namespace) -> int:
    if semantic(options.version) is None:
        raise SettingsError(f"{options.version!r} is no semantic version behind a v, such as v2.1.0 or v2.1.0-rc.1")
    root = project_root(Path.cwd())
    order = order_of(options, options.version)
    with alone(root):
        ruling = rule(root, order, "", lambda environment: load_policy(root, None, environment).digest, options.clock())
        if is_refused(ruling):
            return NO_GO
        make(root, ruling.release, order.remote)
    tell(ruling.release, order.remote)
    return GO


def tell(release: Release, remote: str | None) -> None:
    """What was released, and where its tag is."""
    where = "not pushed" if remote is None else f"pushed to {one_line(shown(remote))}"
    print("\n".join([*_facts(release), f"tag = {release.version}, {where}"]))


def _list(options: argparse.Namespace) -> int:
    found = releases(project_root(Path.cwd()))
    rows = [_row(release) for release in found]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        print(one_line("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), *row[3:]])))
    if not found:
        print("no release yet")
    return GO


def _row(release: Release) -> list[str]:
    at = f"{release.at:%Y-%m-%dT%H:%M:%SZ}"
    if release.fault:
        return [release.version, "unreadable", "", at, release.fault]
    return [
        release.version,
        release.model or "no model",
        release.model_digest[:12],
        at,
        *([f"override: {release.override}"] if release.override else []),
    ]


def _show(options: argparse.Namespace) -> int:
    release = _known(options.version)
    if release is None:
        raise SettingsError(f"{options.version}: no such release; artisan release list names them")
    print("\n".join(_facts(release)))
    for head, text in (("notes", release.notes), ("files", release.manifest)):
        if text:
            print("\n".join([f"{head}:", *(f"  {one_line(line)}" for line in text.rstrip("\n").split("\n"))]))
    return NO_GO if release.fault else GO


def _known(version: str) -> Release | None:
    return next((release for release in releases(project_root(Path.cwd())) if release.version == version), None)


def _facts(release: Release) -> list[str]:
    """Every fact as `key = value`."""
    facts = {
        "version": release.version,
        "commit": release.commit or "none",
        "released": f"{release.at:%Y-%m-%dT%H:%M:%SZ}",
        "fault": release.fault,
        "by": release.by,
        "model": release.model or (release.no_model and f"none ({release.no_model})"),
        "model digest": release.model_digest and f"sha256:{release.model_digest} ({release.model_files} files)",
        "verdict": release.verdict_digest and f"sha256:{release.verdict_digest}",
        "policy": release.policy_digest and f"sha256:{release.policy_digest}",
        "override": release.override,
    }
    return [one_line(f"{key} = {value}") for key, value in facts.items() if value]


def _verify(options: argparse.Namespace) -> int:
    release, folder = _known(options.version), options.checkpoint_dir
    found = list(_wrong(options.version, release, folder))
    for line in found:
        print(one_line(line), file=sys.stderr)
    unseen = release is not None and release.model and folder is None
    print("NO-GO" if found else "GO (the record alone; --checkpoint-dir compares the model)" if unseen else "GO")
    return NO_GO if found else GO


def _wrong(version: str, release: Release | None, folder: Path | None) -> Iterator[str]:
    if release is None or release.fault:
        yield f"{version}: {release.fault if release else 'no such release'}"
        return
    if folder is None:
        return
    if not release.model:
        yield f"{version} has no model: {release.no_model}"
        return
    try:
        now = snapshot(folder)
        if release.manifest:
            yield from differences(Snapshot(release.manifest), now)
        elif now.digest != release.model_digest:
            yield f"{folder}: sha256:{now.digest} of {len(now.files)} files is not the model of {version}"
    except SettingsError as error:
        yield str(error)
