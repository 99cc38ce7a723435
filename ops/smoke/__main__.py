"""`python -m ops.smoke` (make smoke): reads the environment and .env, and prints the table."""

from __future__ import annotations

import sys

from ops import dotenv, misspelt, report
from ops.smoke.checks import run
from ops.smoke.options import UsageError, read_options


def main() -> int:
    """Check the function at URL. Returns 1 if a line says FAIL or an argument is wrong, 130 after
    Ctrl-C, and otherwise 0."""
    misspelt.refuse("smoke")
    try:
        options = read_options(dotenv.environment("smoke"))
    except UsageError as error:
        print(f"make smoke: {error}", file=sys.stderr)
        return 1
    try:
        checks, secrets = run(options)
    except KeyboardInterrupt:
        print("make smoke: interrupted", file=sys.stderr)
        return 130
    print(report.table(checks, secrets))
    if where := report.pointer(checks, "smoke"):
        print(where)
    return int(report.has_failed(checks))


if __name__ == "__main__":
    sys.exit(main())
