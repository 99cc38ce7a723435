"""Shared fixtures: a valid environment, and a request's event."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

import index
from scripted_sts import ScriptedSts, scripted_sts, success
from signed_logins import SECRET
from token_service.app import App
from tried import FEW, FEW_EXAMPLES, PROFILE, Tried

EVENTS = Path(__file__).parent / "events"

# An example has no time limit, because a slow answer of a busy machine is not a fault. All other
# settings are the defaults of Hypothesis. For example, CI tries the same examples each time.
settings.register_profile(
    "untimed", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")
# The number of examples in `make fuzz`. If a test sets its own number, that number is used:
# `tried.examples` sets 10,000 for the properties that are counted. With 10,000 examples for all 146
# properties, a run would take hours.
settings.register_profile(PROFILE, max_examples=1_000)
# `make mutants` runs the tests a thousand times, so each run is short. All runs have the same
# examples.
settings.register_profile(
    FEW,
    max_examples=FEW_EXAMPLES,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)


def pytest_configure(config: pytest.Config) -> None:
    """Count the examples that `make fuzz` tries."""
    if config.getoption("--hypothesis-profile") == PROFILE:
        is_whole = not config.option.file_or_dir and not config.option.keyword
        config.pluginmanager.register(Tried(is_whole=is_whole))


Env = dict[str, str]
CallHandler = Callable[..., dict[str, Any]]


@pytest.fixture
def env() -> Env:
    """The minimal variables of a deployment. No server listens at the STS endpoint."""
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tFunctionKeyId",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "function-access-key-secret",
        "ROLE_ARN": "acs:ram::1234567890123456:role/upload",
        "BUCKET_NAME": "my-bucket",
        "OSS_REGION": "cn-hangzhou",
        "STS_ENDPOINT": "http://127.0.0.1:9",
        "AUTH": "anonymous",
    }


@pytest.fixture
def server() -> Iterator[ScriptedSts]:
    """An STS that issues credentials."""
    with scripted_sts(success()) as server:
        yield server


@pytest.fixture
def jwt_env(env: Env, server: ScriptedSts) -> Env:
    """The variables of a deployment with AUTH=jwt and an STS that issues credentials."""
    return {**env, "AUTH": "jwt", "JWT_SECRET": SECRET, "STS_ENDPOINT": server.url}


@pytest.fixture
def deployed(env: Env, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the entry points an App whose STS answers. They share this App."""
    with scripted_sts(success()) as server:
        for name, value in {**env, "STS_ENDPOINT": server.url}.items():
            monkeypatch.setenv(name, value)
        app = App(os.environ)
        monkeypatch.setattr(index, "_app", app)
        yield
        app.close()


@pytest.fixture
def make_event() -> Callable[..., bytes]:
    """Return a function that makes an event: the golden event with the changes that it is given."""

    def make(method: str = "GET", path: str = "/", **changes: object) -> bytes:
        event = json.loads((EVENTS / "get_token.json").read_text())
        event["rawPath"] = path
        event["requestContext"]["http"].update(method=method, path=path)
        event.update(changes)
        return json.dumps(event).encode()

    return make
