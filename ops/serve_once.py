"""Answers events with a packaged function, in a separate process.

This is a script, not a module of ops. Run it as `python -I -S -B serve_once.py FOLDER...`, with the
events as a JSON array on stdin. As in Function Compute, it can import only from the standard
library and the folders. The first folder has the code. It prints the answers as a JSON array.
"""

import json
import sys


def main() -> None:
    """Answer the events from stdin."""
    sys.path[:0] = sys.argv[1:]
    events = json.load(sys.stdin)
    import index

    index.initialize(None)
    answers = [index.handler(json.dumps(event).encode(), None) for event in events]
    json.dump(answers, sys.stdout)


main()
