"""The operator's tools. Nothing here is deployed, and nothing in functions/ imports it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# As in Function Compute, where the code's folder is first on sys.path.
sys.path.insert(0, str(ROOT / "functions" / "sts_token"))
