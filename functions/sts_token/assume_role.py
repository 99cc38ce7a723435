"""The vendor's AssumeRoleRequest, without the HTTP client that it is never sent with here.

`aliyunsdkcore.request` takes one class out of its vendored copy of requests, and with it all of
requests, urllib3 and chardet: a fifth of the cold start, for a class that only AcsClient uses.
While it is imported, a stand-in takes the place of that one module; the class is still there for
whoever calls it, and is then loaded.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

_STRUCTURES = "aliyunsdkcore.vendored.requests.structures"

# At DEBUG the SDK's loggers print whole answers; nothing here uses them, and nothing shall.
logging.getLogger("aliyunsdkcore").setLevel(logging.WARNING)


def _case_insensitive_dict(*args: Any, **kwargs: Any) -> Any:
    from aliyunsdkcore.vendored.requests.structures import CaseInsensitiveDict

    return CaseInsensitiveDict(*args, **kwargs)


def _import_request() -> Any:
    if "aliyunsdkcore.request" in sys.modules or _STRUCTURES in sys.modules:
        from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest

        return AssumeRoleRequest
    stand_in = ModuleType(_STRUCTURES)
    stand_in.CaseInsensitiveDict = _case_insensitive_dict  # type: ignore[attr-defined]
    sys.modules[_STRUCTURES] = stand_in
    try:
        from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest
    finally:
        del sys.modules[_STRUCTURES]
    return AssumeRoleRequest


AssumeRoleRequest = _import_request()
