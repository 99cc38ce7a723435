"""Simulates the cloud on a laptop, for development and tests only.

The sandbox's STS, RAM and OSS verify signatures and enforce policies. Nothing here is deployed, and
no file in functions/ imports it.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
