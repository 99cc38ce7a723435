"""Imports the vendor's AssumeRoleRequest, with stand-ins for modules that we never use.

Stand-ins for `requests`, `urllib.request` and an XML parser save a third of a cold start. Two
functions of the SDK are replaced by functions of percent.py, which need a third of the time. Any
other AcsClient of this process then uses percent.py too. SDKs from 2.13.10 on have both functions.
"""

from __future__ import annotations

import logging
import sys
import xml.etree  # noqa: F401 - the stand-in below has to have a parent
from typing import Any

from token_service.imports import stand_ins
from token_service.signing import percent

_STRUCTURES = "aliyunsdkcore.vendored.requests.structures"
_URLLIB_REQUEST = "aliyunsdkcore.vendored.six.moves.urllib.request"
_XML = "xml.etree.cElementTree"

# At DEBUG the SDK's loggers would print whole answers.
logging.getLogger("aliyunsdkcore").setLevel(logging.WARNING)


def _case_insensitive_dict(*args: Any, **kwargs: Any) -> Any:
    from aliyunsdkcore.vendored.requests.structures import CaseInsensitiveDict

    return CaseInsensitiveDict(*args, **kwargs)


def _member_of_xml(name: str) -> Any:
    import xml.etree.ElementTree

    return getattr(xml.etree.ElementTree, name)


def _import_request() -> Any:
    members: dict[str, dict[str, Any]] = {
        _STRUCTURES: {"CaseInsensitiveDict": _case_insensitive_dict},
        _URLLIB_REQUEST: {"pathname2url": percent.encoded},
        _XML: {"__getattr__": _member_of_xml},
    }
    with stand_ins({} if "aliyunsdkcore.request" in sys.modules else members):
        from aliyunsdkcore.auth.composer import rpc_signature_composer
        from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest
    rpc_signature_composer.urlencode = percent.form
    rpc_signature_composer.pathname2url = percent.encoded
    return AssumeRoleRequest


AssumeRoleRequest = _import_request()
