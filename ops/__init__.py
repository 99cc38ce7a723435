"""The operator's tools. This package is not deployed, and nothing in functions/ imports it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
