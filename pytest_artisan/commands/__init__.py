"""What the command `artisan` can do, by room. Each module adds its commands, and imports what is heavy where it runs."""

from __future__ import annotations

import argparse
from typing import Final, TypeAlias

# How a command ends: done or GO, NO-GO, bad input, Ctrl-C.
GO: Final = 0
NO_GO: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
