"""The entry points for Function Compute 3.0, and the App. wsgi.py has the entry points for 2.0."""

from __future__ import annotations

import gc

# Imported modules are never garbage. Looking for garbage among modules takes 5 % of a cold start.
gc.disable()

import logging  # noqa: E402
import os  # noqa: E402

from token_service.app import App  # noqa: E402
from token_service.http import fc_event  # noqa: E402

gc.enable()
gc.freeze()

# Each request logs one line at INFO. The platform's handler writes it to the log.
logging.getLogger("sts_token").setLevel(logging.INFO)

_app = App(os.environ)


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - FC's signature
    """Answer one HTTP trigger event. Every failure becomes an answer, so this never raises."""
    return fc_event.write(_app.respond(lambda: fc_event.read(event)))


def check() -> None:
    """Raise ServiceError if the environment is wrong. Programs that start the function use this."""
    from token_service.routes import health

    health.check(_app)


def initialize(context: object) -> None:  # noqa: ARG001 - FC's signature
    """Warm up settings, templates and the connection to STS. A failure never fails the instance."""
    _app.warm()
