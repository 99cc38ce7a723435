"""`make chaos` runs all cases and prints a table of the faults. The exit status is 1 if a case
shows a loss."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chaos_table import Table


def main(arguments: list[str]) -> int:
    """Run the cases, with these arguments for pytest. Return the exit code."""
    table = Table()
    code = pytest.main([str(Path(__file__).parent), "-q", *arguments], plugins=[table])
    print("", *table.lines(), sep="\n")  # noqa: T201
    return int(code != 0 or table.lost > 0 or not table.rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
