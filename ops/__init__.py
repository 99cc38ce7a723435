"""The operator's tools. Nothing here is deployed, and nothing in functions/ imports it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
