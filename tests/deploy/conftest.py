"""The package and the templates, which are made once for all tests of this folder."""

from __future__ import annotations

import base64
import copy
import functools
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.build import build
from ops.template import TEMPLATE, inlined


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that `make build` makes."""
    folder = tmp_path_factory.mktemp("package") / "build" / "sts_token"
    build(folder)
    return folder


@pytest.fixture(scope="session")
def inlined_text() -> str:
    """The template that `make template` writes."""
    return inlined(TEMPLATE.read_text(encoding="utf-8"))[0]


@pytest.fixture(scope="session")
def inlined_code(inlined_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's code, which is unpacked from the template that `make template` writes."""
    template = yaml.safe_load(inlined_text)
    text = template["Resources"]["Function"]["Properties"]["Code"]["ZipFile"]
    folder = tmp_path_factory.mktemp("code")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(text, validate=True))) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def load_template() -> Callable[[], dict[str, Any]]:
    """A function that returns a fresh copy of template.yml. A test may change the copy."""
    return lambda: copy.deepcopy(_template())


@functools.cache
def _template() -> dict[str, Any]:
    """Read template.yml only once, because that takes a while."""
    found: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def template(load_template: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return load_template()
