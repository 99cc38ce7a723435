"""Function Compute's entry points (FC 3.0; those of FC 2.0 lie in wsgi.py), and the one App."""

from __future__ import annotations

import gc

# Imported modules stay: looking for garbage in them takes 5 % of a cold start.
gc.disable()

import logging  # noqa: E402
import os  # noqa: E402

from token_service.app import App  # noqa: E402
from token_service.http import fc_event  # noqa: E402

gc.enable()
gc.freeze()

# INFO has one line for each request; the platform's handler writes it to the log.
logging.getLogger("sts_token").setLevel(logging.INFO)

_app = App(os.environ)


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - FC's signature
    """Answer one HTTP trigger event; never raises, whatever the event."""
    return fc_event.write(_app.respond(lambda: fc_event.read(event)))


def check() -> None:
    """Raise ServiceError if the environment is wrong; for programs that start the function."""
    from token_service.routes import health

    health.check(_app)


def initialize(context: object) -> None:  # noqa: ARG001 - FC's signature
    """Warm up settings, templates and the connection to STS; a failure never fails the instance."""
    _app.warm()
