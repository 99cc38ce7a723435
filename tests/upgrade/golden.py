"""Write down what the code at hand makes of b291437's inputs: the goldens of b291437/.

They were made by b291437's own code, and never change: what differs today has a row in
docs/upgrade.md. For a new environment or event, b291437's code has to be asked again. This folder
came into the repository while functions/ was still as at b291437, so check that commit out:

    git log --diff-filter=A --format=%h -- tests/upgrade/golden.py     # names the commit
    git worktree add ../then <that commit> && cd ../then

put the new input into its tests/upgrade/b291437/, delete the goldens that the input changes, run

    PYTHONPATH=functions/sts_token:tests/support:. python -m tests.upgrade.golden

and copy input and goldens back. A golden that is there is not written again.
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
"""The environment that b291437 refuses: it has no settings."""


def read(path: Path) -> Any:
    """A golden."""
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> int:
    """Write the goldens that are missing."""
    with tempfile.TemporaryDirectory() as folder:
        code = deployed.laid_out(Path(folder) / "code")
        shown = {name: deployed.observed(name, code) for name in inputs.NAMES}
    names = [name for name in inputs.NAMES if name != REFUSED]
    _write(SETTINGS, {name: settings_of(inputs.environment(name)) for name in names})
    _write(ENTRY_POINTS, shown["minimal"]["entry_points"])
    for name, one in shown.items():
        for event in one["events"].values():
            # One golden for both handlers.
            if event.pop("wsgi") != event["answer"]:
                raise ValueError(f"{name}: the handlers do not answer the same")
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
