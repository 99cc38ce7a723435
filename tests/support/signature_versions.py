"""Signature versions as parameters of tests. The `oss` of a test of V1 runs with SIGNATURE_V1=1.
The `oss` of every other test runs without it."""

from __future__ import annotations

import pytest

with_v1 = pytest.mark.signature_v1
VERSIONS = (pytest.param("v1", marks=with_v1), "v4")
every_version = pytest.mark.parametrize("version", VERSIONS)
