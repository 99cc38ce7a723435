"""`python -m ops.doctor` (make doctor): reads the environment and .env, and prints the table."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ops import misspelt, report
from ops.doctor.checks import examine


def main() -> int:
    """Run all checks and print the table. Returns 0, or 1 if something must be fixed."""
    misspelt.refuse("doctor")
    checks = examine(os.environ, Path())
    print(report.table(checks))
    if where := report.pointer(checks, "doctor"):
        print(where)
        return 1
    print("After the deploy, check it with `make smoke URL=…` (if AUTH=jwt, add CALLER=alice).")
    print("Measure the function's cold start with `make measure-cold URL=…`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
