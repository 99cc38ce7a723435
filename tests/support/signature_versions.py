"""Signature versions as parameters: the `oss` of a test of V1 runs with SIGNATURE_V1=1, all others
without."""

from __future__ import annotations

import pytest

with_v1 = pytest.mark.signature_v1
VERSIONS = (pytest.param("v1", marks=with_v1), "v4")
every_version = pytest.mark.parametrize("version", VERSIONS)
