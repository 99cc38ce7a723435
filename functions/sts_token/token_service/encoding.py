"""JSON as short as it can be. Encoders are kept: json.dumps makes one at each call."""

from __future__ import annotations

import json

compact = json.JSONEncoder(separators=(",", ":")).encode
"""In ASCII."""
compact_unicode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Not \\uXXXX, which spends six characters on one."""
