"""The token function. It identifies a caller, decides what they may do, and gets credentials."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder of the entry points, which is the root of the deployed package."""

__version__ = "1.1.0"
