"""Function Compute's entry points (FC 3.0; those of FC 2.0 lie in wsgi.py), and the one App.

Everything they do is done elsewhere.
"""

from __future__ import annotations

import gc

# What is imported stays: looking for garbage in it takes 5 % of a cold start, and freezing it
# spares every later collection the walk through it.
gc.disable()

import logging  # noqa: E402
import os  # noqa: E402
from collections.abc import Callable  # noqa: E402

import fc_event  # noqa: E402
from app import App  # noqa: E402
from messages import Request, Response  # noqa: E402

gc.enable()
gc.freeze()

# One line a request; the platform's handler carries it to the log.
logging.getLogger("sts_token").setLevel(logging.INFO)

_app = App(os.environ)


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - FC's signature
    """Answer one HTTP trigger event; never raises, whatever the event."""
    return fc_event.write(_app.respond(lambda: fc_event.read(event)))


def respond(read: Callable[[], Request]) -> Response:
    """Answer what `read` makes of a request; for wsgi.py, which shares the one App."""
    return _app.respond(read)


def check() -> None:
    """Raise ServiceError for what is wrong with the environment; for whoever starts us by hand."""
    _app.check()


def initialize(context: object) -> None:  # noqa: ARG001 - FC's signature
    """Warm up settings, templates and the connection to STS; a failure never fails the instance."""
    _app.warm()
