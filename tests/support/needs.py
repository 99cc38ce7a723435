"""What a test needs and this machine does not have: it is said here, and in no other place.

Without it a test is skipped, so that `make test` asks for nothing but Python. With CI set to
anything it fails instead: what is green there has run. tests/test_needs.py holds that no test skips
by itself.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def left_out(what: str, why: str) -> NoReturn:
    """Skip the test, or fail it where CI is set: `what` is not tried, because of `why`."""
    reason = f"{what} is left out: {why}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set: nothing may be left out)", pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """Where a program is; without it the test is left out."""
    return shutil.which(name) or left_out(f"what runs {name}", f"there is no {name} on the PATH")
