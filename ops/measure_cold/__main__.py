"""`python -m ops.measure_cold` (make measure-cold): reads the environment and .env, and prints the
results."""

from __future__ import annotations

import sys

from ops import dotenv, misspelt, report
from ops.measure_cold import calls, told
from ops.measure_cold.plan import announced, hidden, read_plan
from ops.smoke.options import UsageError


def main() -> int:
    """Measure and print. Returns 0 after a measurement, 1 if nothing was measured or an argument is
    wrong, and 130 after Ctrl-C."""
    misspelt.refuse("measure-cold")
    try:
        plan = read_plan(dotenv.environment("measure-cold"))
    except UsageError as error:
        print(f"make measure-cold: {error}", file=sys.stderr)
        return 1
    status, own, bare = 0, calls.Series(), calls.Series()
    print("\n".join(announced(plan)), flush=True)
    try:
        calls.measure(plan, own, bare)
    except KeyboardInterrupt:
        print("make measure-cold: interrupted; results so far:", file=sys.stderr)
        status = 130
    for line in told.lines(plan, own, bare):
        print(report.plain(line, hidden(plan)))
    return status or int(own.warm() is None)


if __name__ == "__main__":
    sys.exit(main())
