"""The catalogue: every variable of the function, declared once.

docs/variables.toml describes them for people. CONTRIBUTING.md says what a new variable needs.
"""

from __future__ import annotations

from token_service.settings import values
from token_service.settings.parsing import (
    Variable,
    Whole,
    checked,
    elsewhere,
    matching,
    one_of,
    secrets,
    texts,
)

_PLAIN = checked("printable ASCII without spaces", values.is_plain)
_NO_TIME = checked("a claim other than exp, nbf, iat", lambda n: n not in ("exp", "nbf", "iat"))
_BY_PLATFORM = "not set; Function Compute sets it for a function that has a role"
_A_SECRET = "not set; must be a secret of at least 32 bytes"  # noqa: S105 - a message
_URL = elsewhere("settings.addresses:url")
_ENDPOINT = elsewhere("settings.addresses:endpoint")
_OSS_ENDPOINT = elsewhere("settings.addresses:local_endpoint")
_PREFIX = elsewhere("grant.new_names:prefix")
_ROLE = "acs:ram::<account id>:role/<role name>"
_BUCKET = "3 to 63 characters (a-z, 0-9, '-'), with no '-' at the ends"
_REGION = "a region id like cn-hangzhou, without 'oss-'"
_SESSION = Whole(values.MIN_SESSION_SECONDS, values.MAX_SESSION_SECONDS, "seconds")
_SIGNATURE = Whole(1, values.MAX_SIGNATURE_SECONDS, "seconds")
_BYTES = Whole(1, values.MAX_OBJECT_BYTES, "bytes")


def _needed(name: str, pattern: str, accepts: str) -> Variable:
    parse, missing = matching(pattern, accepts), f"not set; must be {accepts}"
    return Variable(name, parse, first=True, missing=missing)


# The function's credentials
ACCESS_KEY_ID = Variable("ALIBABA_CLOUD_ACCESS_KEY_ID", _PLAIN, missing=_BY_PLATFORM)
ACCESS_KEY_SECRET = Variable(
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET", _PLAIN, secret=True, missing=_BY_PLATFORM
)
SECURITY_TOKEN = Variable("ALIBABA_CLOUD_SECURITY_TOKEN", _PLAIN, secret=True)
# Where uploads go, and what a token allows
ROLE_ARN = _needed("ROLE_ARN", r"acs:ram::[0-9]{1,32}:role/[A-Za-z0-9.@_-]{1,64}", _ROLE)
BUCKET_NAME = _needed("BUCKET_NAME", r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", _BUCKET)
OBJECT_PREFIX = Variable("OBJECT_PREFIX", _PREFIX, "uploads/", first=True)
OSS_REGION = _needed("OSS_REGION", r"(?!oss-)[a-z]{2,}(?:-[a-z0-9]+)+", _REGION)
OSS_ENDPOINT = Variable("OSS_ENDPOINT", _OSS_ENDPOINT, first=True)
OSS_INTERNAL_ENDPOINT = Variable("OSS_INTERNAL_ENDPOINT", _OSS_ENDPOINT)
STS_ENDPOINT = Variable("STS_ENDPOINT", _ENDPOINT)
POLICY_FILE = Variable("POLICY_FILE", str, "bucket_write_policy", first=True)
POLICY_CHOICES = Variable("POLICY_CHOICES", texts)
TOKEN_EXPIRE_TIME = Variable("TOKEN_EXPIRE_TIME", _SESSION, "900")
TOKEN_EXPIRE_TIME_MAX = Variable("TOKEN_EXPIRE_TIME_MAX", _SESSION)
# Who asks. The value of AUTH is the name of a module in login/, for example login/jwt.py.
AUTH = Variable("AUTH", one_of("jwt", "anonymous"), "jwt", first=True)
JWT_SECRET = Variable("JWT_SECRET", secrets, secret=True, first=True, missing=_A_SECRET)
JWT_JWKS_FILE = Variable("JWT_JWKS_FILE", str)
JWT_JWKS_URL = Variable("JWT_JWKS_URL", _URL, first=True)
JWT_ISSUER = Variable("JWT_ISSUER", checked("issuers, separated by commas", texts))
JWT_AUDIENCE = Variable("JWT_AUDIENCE", texts)
JWT_USER_CLAIM = Variable("JWT_USER_CLAIM", _NO_TIME, "sub")
JWT_REQUIRE = Variable("JWT_REQUIRE", elsewhere("login.required:required"))
LOGINS_NOT_BEFORE = Variable("LOGINS_NOT_BEFORE", elsewhere("login.brakes:since"))
DENIED_CALLERS = Variable("DENIED_CALLERS", elsewhere("login.brakes:denied"))
ALLOWED_ORIGINS = Variable("ALLOWED_ORIGINS", elsewhere("http.cors:origins"), first=True)
ALLOWED_HEADERS = Variable("ALLOWED_HEADERS", elsewhere("http.cors:header_names"))
CALLER_TOKENS_PER_MINUTE = Variable("CALLER_TOKENS_PER_MINUTE", Whole(0, 9999, zero="no limit"))
CALLER_URLS_PER_MINUTE = Variable("CALLER_URLS_PER_MINUTE", Whole(0, 99999, zero="no limit"))
ENABLED_ROUTES = Variable("ENABLED_ROUTES", elsewhere("signing.limits:routes"))
# Signed URLs and forms
URL_EXPIRE_TIME = Variable("URL_EXPIRE_TIME", _SIGNATURE, "900")
URL_EXPIRE_TIME_MAX = Variable("URL_EXPIRE_TIME_MAX", _SIGNATURE)
UPLOAD_MAX_BYTES = Variable("UPLOAD_MAX_BYTES", _BYTES, "1073741824")
UPLOAD_CONTENT_TYPES = Variable("UPLOAD_CONTENT_TYPES", elsewhere("grant.content_types:types"))
OVERWRITE = Variable("OVERWRITE", one_of("yes", "no"), "yes")
MULTIPART_SECRET = Variable("MULTIPART_SECRET", secrets, secret=True, missing=_A_SECRET)
# Callbacks
CALLBACK_URL = Variable(
    "CALLBACK_URL",
    elsewhere("callback.parameters:callback_url"),
    first=True,
    missing="not set; UPLOAD_HOOK_URL needs it, because a callback starts each webhook call",
)
CALLBACK_SECRET = Variable("CALLBACK_SECRET", secrets, secret=True, first=True, missing=_A_SECRET)
CALLBACK_PUBLIC_KEY_URL = Variable(
    "CALLBACK_PUBLIC_KEY_URL", elsewhere("callback.parameters:public_key_url")
)
UPLOAD_HOOK_URL = Variable("UPLOAD_HOOK_URL", _URL)
UPLOAD_HOOK_SECRET = Variable("UPLOAD_HOOK_SECRET", secrets, secret=True, missing=_A_SECRET)
HTTP_ERROR_STATUS = Variable("HTTP_ERROR_STATUS", one_of("ok", "real"), "ok")

VARIABLES: tuple[Variable, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Variable)
)
"""All variables, in the order above."""
FC_REGION = OSS_REGION._replace(name="FC_REGION")
"""The platform sets FC_REGION, which the function uses if OSS_REGION is not set."""
