"""How arguments are read; argparse tells the user what a ValueError says."""

from __future__ import annotations

import argparse


def duration(text: str) -> str:
    return f"{text}s" if text.replace(".", "", 1).isdigit() else text


def seed(text: str) -> int:
    return _above(int(text), -1)


def count(text: str) -> int:
    return _above(int(text), 0)


def port(text: str) -> int:
    number = _above(int(text), -1)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{text} is above 65535")
    return number


def percent(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 100")
    return number


def _above(number: int, bound: int) -> int:
    if number <= bound:
        raise argparse.ArgumentTypeError(f"{number} is not above {bound}")
    return number


def add_reasons(command: argparse.ArgumentParser) -> None:
    """Why a deployment may begin outside of the train's windows."""
    reason = command.add_mutually_exclusive_group()
    reason.add_argument("--hotfix", metavar="VERSION", default="", help="a released hotfix, which needs no window")
    reason.add_argument("--override", metavar="WHY", default="", help="begin all the same; goes on the record")
