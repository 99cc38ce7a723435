"""Probes of RAM, STS and Function Compute, in the style of oss_probes.py."""

from __future__ import annotations

from ops.conform.exchanges import Answer
from ops.conform.oss_probes import TEXT, allow, works
from ops.conform.site import Site, token_of
from ops.conform.verdicts import Finding, NotTried, Verdict, judged

_ORIGIN = "https://conform.invalid"
_OLD = "2020-01-01T00:00:00Z"


def resource_case(site: Site) -> Finding:
    """PUT to case/… in a session with a policy for Case/…

    If OSS answers AccessDenied, RAM distinguishes upper and lower case in resources. If OSS stores
    the object, RAM treats upper and lower case as equal.
    """
    key = site.session(allow(site, "PutObject", "Case/*"))
    works(
        site.oss(key, "PUT", "Case/a", body=TEXT),
        "an upload to Case/ under a policy for Case/",
    )
    answer = site.oss(key, "PUT", "case/a", body=TEXT)
    return _denied(answer, "an upload to case/ under a policy for Case/")


def policy_variable(site: Site) -> Finding:
    """PUT a key that contains ${acs:AccessId}, in a session whose policy has the same text.

    If OSS stores the object, the text has no special meaning for RAM. If OSS or STS refuses the
    request, the text has a special meaning.
    """
    name = "variable/${acs:AccessId}/a"
    plain = site.session(allow(site, "PutObject", "variable/*"))
    works(site.oss(plain, "PUT", name, body=TEXT), "an upload of this key under a policy with *")
    reply = site.assume_role([allow(site, "PutObject", name)])
    if reply.key is None:
        return Finding(Verdict.REFUTED, f"STS refuses the policy: {reply.answer}")
    answer = site.oss(reply.key, "PUT", name, body=TEXT)
    return judged([] if answer.is_good else [f"OSS answered {answer}"], "taken literally")


def absent_condition_key(site: Site) -> Finding:
    """PUT under a policy with this condition: oss:Prefix must not match "x" (StringNotLike).

    A PUT has no oss:Prefix. If OSS answers AccessDenied, a condition on a missing key is false. If
    OSS stores the object, StringNotLike on a missing key is true.
    """
    condition = {"Condition": {"StringNotLike": {"oss:Prefix": "x"}}}
    plain = site.session(allow(site, "PutObject", "condition/*"))
    works(site.oss(plain, "PUT", "condition/plain", body=TEXT), "an upload without a condition")
    key = site.session({**allow(site, "PutObject", "condition/*"), **condition})
    return _denied(site.oss(key, "PUT", "condition/a", body=TEXT), "an upload without the key")


def sts_statuses(site: Site) -> Finding:
    """Call AssumeRole with a wrong signature, an old time, a repeated nonce or no RoleArn.

    The assumption holds if each call gets HTTP 400, with the same code as in the sandbox.
    """
    nonce = {"SignatureNonce": f"conform-{site.mark}"}
    works(site.sts(nonce), "AssumeRole")
    answers = {
        "SignatureDoesNotMatch": site.sts({}, signature="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        "InvalidTimeStamp.Expired": site.sts({"Timestamp": _OLD}),
        "SignatureNonceUsed": site.sts(nonce),
        "MissingParameter": site.sts({"RoleArn": None}),
    }
    faults = []
    for code, answer in answers.items():
        # The answer may have a longer code: "MissingParameter.RoleArn" for "MissingParameter".
        if answer.status != 400 or not answer.code.startswith(code):
            faults.append(f"{code} was expected, but the answer was {answer}")
    return judged(faults, "each call got 400")


def plain_http(site: Site) -> Finding:
    """Send GET /health to the function over https://, and then over http://.

    If the function itself answers the second request, it also accepts plain HTTP.
    """
    function = site.account.function
    if function is not None and function.scheme == "http":
        raise NotTried("URL begins with http://; needs the https:// URL of a deployed function")
    if not site.function("GET", "/health").status:
        raise NotTried("the function cannot be reached at all")
    answer = site.function("GET", "/health", plain=True)
    sound = token_of(answer).get("StatusCode") is not None
    return judged([] if sound else [f"plain http: {answer}"], "the function answers plain HTTP")


def platform_cors(site: Site) -> Finding:
    """Send a preflight and a GET from an origin that is not allowed.

    If the answers have no Access-Control-Allow-Origin, browsers see only the function's own
    headers. If this header names the origin, the platform adds its own CORS headers. If this header
    is "*", nothing can be concluded, because the function's ALLOWED_ORIGINS may be "*".
    """
    ask = {"Origin": _ORIGIN, "Access-Control-Request-Method": "GET"}
    answers = (
        site.function("OPTIONS", "/", ask),
        site.function("GET", "/health", {"Origin": _ORIGIN}),
    )
    allowed = [answer.headers.get("access-control-allow-origin", "") for answer in answers]
    if not all(answer.status for answer in answers):
        raise NotTried(" and ".join(map(str, answers)))
    if set(allowed) == {"*"}:
        raise NotTried("ALLOWED_ORIGINS of the function is *, so nothing can be concluded")
    faults = [f"{origin} is allowed" for origin in allowed if origin]
    return judged(faults[:1], "the answer has only the function's own CORS headers")


def empty_variables(site: Site) -> Finding:
    """GET /health of a function that s.yaml or template.yml deployed. Both set empty variables.

    If the answer is 200, the function treats an empty variable as not set. An answer of 500 names a
    variable that was deployed with an empty value, but has another value in the function.
    """
    return _healthy(site.function("GET", "/health"))


def preinstalled(site: Site) -> Finding:
    """GET / of a function that template.yml deployed. The function's code lacks the STS SDK.

    A token or a refusal by STS shows that the runtime has the SDK. An answer that is not from the
    function shows that the function could not start.
    """
    members = token_of(site.function("GET", "/"))
    if members.get("StatusCode") == 401:
        raise NotTried("the function loads the SDK only for a request with a login: set LOGIN=…")
    if members.get("StatusCode") == 200:
        return Finding(Verdict.CONFIRMED, "the function made a token with the SDK of the runtime")
    said = members.get("ErrorCode") or "the answer is not from the function"
    return Finding(Verdict.REFUTED, f"no token: {said}")


def byte_code(site: Site) -> Finding:
    """GET /health of a function that was deployed with byte code.

    ByteCode in the answer says whether the byte code is at the path at which the platform's Python
    looks for it. If ByteCode is true, Python uses the byte code, and does not check the source.
    """
    answer = site.function("GET", "/health")
    said = token_of(answer).get("ByteCode")
    if said is None:
        raise NotTried(f"/health does not have ByteCode: {answer}")
    return judged([] if said else ["/health: ByteCode is false"], "Python finds the byte code")


def session_hours(site: Site) -> Finding:
    """GET /?duration=7200. If the answer is a token, the function's role may begin sessions of two
    hours."""
    answer = site.function("GET", "/", query={"duration": "7200"})
    members = token_of(answer)
    code = str(members.get("ErrorCode", ""))
    if code == "InvalidParameter.Duration" or members.get("StatusCode") in (401, 403):
        raise NotTried(f"{code}: needs TOKEN_EXPIRE_TIME_MAX=7200, and LOGIN if AUTH=jwt")
    if members.get("StatusCode") == 200:
        return Finding(Verdict.CONFIRMED, f"until {members.get('Expiration')}")
    return Finding(Verdict.REFUTED, f"refused: {code or answer}")


def internal_endpoint(site: Site) -> Finding:
    """GET /uploads of a function that uses the internal endpoint of OSS, as its /health says.

    If the answer is a listing, the function reaches the endpoint without a VPC. If the answer is
    503 OssUnreachable, the function does not reach the endpoint.
    """
    health = site.function("GET", "/health")
    if b"-internal.aliyuncs.com" not in health.body:
        raise NotTried("/health does not say that the function uses the internal endpoint")
    members = token_of(site.function("GET", "/uploads", query={"limit": "1"}))
    if members.get("StatusCode") == 200:
        return Finding(Verdict.CONFIRMED, "the listing came through the internal endpoint")
    code = str(members.get("ErrorCode", "no JSON"))
    if code == "OssUnreachable":
        return Finding(Verdict.REFUTED, code)
    raise NotTried(f"the listing got the answer {code}")


def platform_headers(site: Site) -> Finding:
    """Send GET / twice: with an invalid key in headers x-fc-access-key-*, and without them.

    If both requests get a token, a custom runtime sees only the platform's own headers. If only the
    request without these headers gets a token, the function has received the client's headers, and
    has signed with the invalid key from these headers.
    """
    if token_of(site.function("GET", "/")).get("StatusCode") != 200:
        raise NotTried("the function gives no token; for AUTH=jwt, set LOGIN")
    names = ("Access-Key-Id", "Access-Key-Secret", "Security-Token")
    answer = site.function("GET", "/", {f"X-Fc-{name}": f"{site.mark}-{name}" for name in names})
    members = token_of(answer)
    sound = members.get("StatusCode") == 200
    said = str(members.get("ErrorCode", answer))
    return judged([] if sound else [f"with the headers: {said}"], "a token in both cases")


def _healthy(answer: Answer) -> Finding:
    members = token_of(answer)
    if not answer.status:
        raise NotTried(str(answer))
    sound = members.get("StatusCode") == 200
    said = str(members.get("ErrorMessage", answer))
    return judged([] if sound else [f"/health: {said}"], "/health is OK")


def _denied(answer: Answer, what: str) -> Finding:
    if answer.is_denied:
        return Finding(Verdict.CONFIRMED, f"{what}: AccessDenied")
    if answer.is_good:
        return Finding(Verdict.REFUTED, f"{what} was accepted")
    raise NotTried(f"{what}: {answer}")
