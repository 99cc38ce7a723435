"""Signature versions as parameters of tests. For a test of V1, the fixture `oss` starts the
sandbox's OSS with SIGNATURE_V1=1. For all other tests, the fixture does not set this variable."""

from __future__ import annotations

import pytest

with_v1 = pytest.mark.signature_v1
VERSIONS = (pytest.param("v1", marks=with_v1), "v4")
every_version = pytest.mark.parametrize("version", VERSIONS)
