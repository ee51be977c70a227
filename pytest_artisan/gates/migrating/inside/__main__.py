"""The process: started by its path, in the tree whose migrations it runs, which it finds as `alembic` there would."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_NAME = "artisan_migration_runs"

if __name__ == "__main__":
    # Nothing of this folder is to be found by the names that it has here.
    sys.path[0] = os.getcwd()
    folder = Path(__file__).parent
    spec = spec_from_file_location(_NAME, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    sys.modules[_NAME] = module_from_spec(spec)
    import_module(f"{_NAME}.answering").main()
