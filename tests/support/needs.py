"""The only place that skips a test because this machine lacks something that the test needs.

The test is skipped, so `make test` needs only Python. If CI is set to any value, the test fails
instead, so no test is skipped in CI. tests/test_needs.py checks that no test skips itself in
another way.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def left_out(what: str, why: str) -> NoReturn:
    """Skip the test, or fail it if CI is set. `what` is not tested, and `why` is the reason."""
    reason = f"{what} is left out: {why}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set, so no test may be skipped)", pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program. If the program is missing, the test is skipped."""
    return shutil.which(name) or left_out(f"what runs {name}", f"there is no {name} on the PATH")
