"""The cloud on a laptop: STS, RAM and OSS that verify and enforce, for development and tests only.

Nothing here is deployed, and nothing in functions/ imports it.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
