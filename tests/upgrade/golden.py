"""Write the golden files in b291437/. The checked-out code makes them from the inputs there.

The code of b291437 made the golden files, and they never change. If today's code gives another
result, docs/upgrade.md has a row for it. To add an environment or an event, run the code of b291437
again. The commit that added this folder still has b291437's functions/, so check it out:

    git log --diff-filter=A --format=%h -- tests/upgrade/golden.py     # names the commit
    git worktree add ../then <that commit> && cd ../then

In ../then, put the new input into tests/upgrade/b291437/, and delete the golden files that the new
input changes. Then run

    PYTHONPATH=functions/sts_token:tests/support:. python -m tests.upgrade.golden

Copy the input and the golden files back into this checkout. The program never overwrites a golden
file that exists already.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.upgrade import deployed, inputs
from tests.upgrade.inputs import OLD
from tests.upgrade.today import settings_of

SETTINGS = OLD / "settings.json"
ENTRY_POINTS = OLD / "entry_points.json"
ANSWERS = OLD / "answers"

REFUSED = "broken"
"""The commit b291437 refuses this environment, so it has no golden settings."""


def read(path: Path) -> Any:
    """Read a golden file."""
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> int:
    """Write the golden files that are missing."""
    with tempfile.TemporaryDirectory() as folder:
        code = deployed.laid_out(Path(folder) / "code")
        shown = {name: deployed.observed(name, code) for name in inputs.NAMES}
    names = [name for name in inputs.NAMES if name != REFUSED]
    _write(SETTINGS, {name: settings_of(inputs.environment(name)) for name in names})
    _write(ENTRY_POINTS, shown["minimal"]["entry_points"])
    for name, one in shown.items():
        for event in one["events"].values():
            # The answers of both handlers are in one golden file, so they must be equal.
            if event.pop("wsgi") != event["answer"]:
                raise ValueError(f"{name}: the answers of the two handlers differ")
        _write(ANSWERS / f"{name}.json", one["events"])
    return 0


def _write(path: Path, golden: Any) -> None:
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(golden, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
