"""Answer events with a packaged function, in a process that has nothing else on its path.

A script, not a module of ops: `python -I -S -B serve_once.py FOLDER...` with the events as a JSON
array on stdin. Only the standard library and the folders can be imported, as in Function Compute;
the first is the code's. Prints the answers as a JSON array.
"""

import json
import sys


def main() -> None:
    """Answer the events of stdin."""
    sys.path[:0] = sys.argv[1:]
    events = json.load(sys.stdin)
    import index

    index.initialize(None)
    answers = [index.handler(json.dumps(event).encode(), None) for event in events]
    json.dump(answers, sys.stdout)


main()
