"""The vendor's AssumeRoleRequest, without what is loaded with it and never used here.

The SDK's modules take one class out of `requests`, one function out of `urllib.request`, and an
XML parser: a third of the cold start. While they are imported, stand-ins take the places of those
three modules. What only AcsClient uses is still there for whoever calls it, and is then loaded.

The class builds, composes and signs the request. Only the percent-encoding of what is signed is
not the SDK's choice but percent.py's, which makes the same in a third of the time.
"""

from __future__ import annotations

import logging
import sys
import xml.etree  # noqa: F401 - the stand-in below has to have a parent
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import percent

_STRUCTURES = "aliyunsdkcore.vendored.requests.structures"
_URLLIB_REQUEST = "aliyunsdkcore.vendored.six.moves.urllib.request"
_XML = "xml.etree.cElementTree"

# At DEBUG the SDK's loggers print whole answers; nothing here uses them, and nothing shall.
logging.getLogger("aliyunsdkcore").setLevel(logging.WARNING)


def _case_insensitive_dict(*args: Any, **kwargs: Any) -> Any:
    from aliyunsdkcore.vendored.requests.structures import CaseInsensitiveDict

    return CaseInsensitiveDict(*args, **kwargs)


def _member_of_xml(name: str) -> Any:
    import xml.etree.ElementTree

    return getattr(xml.etree.ElementTree, name)


def _urlencode(parameters: Mapping[str, object] | Iterable[tuple[str, object]]) -> str:
    return percent.form(parameters.items() if isinstance(parameters, Mapping) else parameters)


def _import_request() -> Any:
    members: dict[str, dict[str, Any]] = {
        _STRUCTURES: {"CaseInsensitiveDict": _case_insensitive_dict},
        _URLLIB_REQUEST: {"pathname2url": percent.encoded},
        _XML: {"__getattr__": _member_of_xml},
    }
    stand_ins = {}
    if "aliyunsdkcore.request" not in sys.modules:
        for name in members.keys() - sys.modules.keys():
            stand_ins[name] = ModuleType(name)
            vars(stand_ins[name]).update(members[name])
    sys.modules.update(stand_ins)
    try:
        from aliyunsdkcore.auth.composer import rpc_signature_composer
        from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest
    finally:
        for name in stand_ins:
            del sys.modules[name]
    rpc_signature_composer.urlencode = _urlencode
    rpc_signature_composer.pathname2url = percent.encoded
    return AssumeRoleRequest


AssumeRoleRequest = _import_request()
