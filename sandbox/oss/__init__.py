"""Object storage that verifies every signature and enforces every policy, on a laptop's disk."""

from sandbox.oss.app import create_app
from sandbox.oss.storage import Storage

__all__ = ["Storage", "create_app"]
