"""The token function: who asks, what they may do, and the credentials for it."""

__version__ = "1.1.0"
