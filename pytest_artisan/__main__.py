"""`python -m pytest_artisan` is the command `artisan`."""

import sys

from pytest_artisan.cli import main

sys.exit(main())
