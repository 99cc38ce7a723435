"""Which requests OSS accepts, and how it refuses others. oss2 signs the requests. Tests alter them
and send them over real HTTP."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from itertools import product
from pathlib import Path
from urllib.parse import quote, unquote

import oss2
import pytest

from running_oss import BUCKET, REGION, Oss, Server, policy, running_oss
from sandbox.oss.signatures import (
    UNSIGNED_PAYLOAD,
    V4Scope,
    v1_signature,
    v4_canonical_request,
    v4_signature,
    v4_string_to_sign,
)
from sandbox.oss.xml import parse
from signature_versions import every_version, with_v1

MODES = ["V1 header", "V1 query", "V4 header", "V4 query"]
PARAMETERS = [*(pytest.param(mode, marks=with_v1) for mode in MODES[:2]), *MODES[2:]]
every_mode = pytest.mark.parametrize("mode", PARAMETERS)
in_header = pytest.mark.parametrize("mode", PARAMETERS[::2])
in_query = pytest.mark.parametrize("mode", PARAMETERS[1::2])

OTHER = "other-bucket"
DENIED = (403, "AccessDenied", "0003-00000001")
EXPIRED = (403, "AccessDenied", "0002-00000069")
INVALID = (400, "InvalidArgument", "")
SKEWED = (403, "RequestTimeTooSkewed", "0002-00000504")
UNKNOWN = (403, "InvalidAccessKeyId", "0002-00000002")

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Who:
    """A key as a client holds it."""

    key_id: str
    secret: str
    token: str | None = None


@dataclass(frozen=True)
class Sent:
    """A signed request, sent as it is or altered."""

    method: str
    path: str
    headers: Mapping[str, str]

    def to(self, oss: Oss) -> Answer:
        return oss.raw(self.method, self.path, self.headers)

    def having(self, **headers: str) -> Sent:
        """Return the request with more headers; "_" stands for "-"."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})

    def lacking(self, *names: str) -> Sent:
        kept = {name: value for name, value in self.headers.items() if name not in names}
        return replace(self, headers=kept)

    def rewriting(self, old: str, new: str) -> Sent:
        """Return the request with `old` replaced by `new` in its headers and its query. The
        signature is in one of these two places."""
        altered = {name: value.replace(old, new) for name, value in self.headers.items()}
        path = self.path.replace(quote(old, safe=""), quote(new, safe=""))
        assert (path, altered) != (self.path, self.headers)
        return replace(self, path=path, headers=altered)

    def rewriting_path(self, old: str, new: str) -> Sent:
        assert old in self.path
        return replace(self, path=self.path.replace(old, new, 1))

    @property
    def signature(self) -> str:
        """The signature, from the header or from the URL."""
        text = unquote(f"{self.headers.get('authorization', '')} {self.path}")
        found = re.search(r"(?:ignature=|OSS [^:]*:)([A-Za-z0-9+/=]+)", text)
        assert found is not None
        return found[1]

    def without_parameter(self, name: str) -> Sent:
        path, _, query = self.path.partition("?")
        parts = query.split("&")
        kept = [part for part in parts if part.partition("=")[0] != name]
        assert len(kept) == len(parts) - 1
        return replace(self, path=f"{path}?{'&'.join(kept)}")


def root(oss: Oss) -> Who:
    return Who(oss.root.access_key_id, oss.root.access_key_secret)


def session(oss: Oss, text: str | None = None, seconds: int = 900) -> Who:
    made = oss.session(text, seconds)
    return Who(made.access_key_id, made.access_key_secret, made.security_token)


def signer(mode: str, who: Who) -> oss2.auth.AuthBase:
    provider = oss2.credentials.StaticCredentialsProvider(who.key_id, who.secret, who.token)
    kind = oss2.ProviderAuth if mode.startswith("V1") else oss2.ProviderAuthV4
    return kind(provider)


def signed(
    oss: Oss,
    mode: str,
    method: str = "GET",
    key: str = "a",
    *,
    bucket: str = BUCKET,
    who: Who | None = None,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    additional: set[str] | None = None,
    expires: int = 60,
    region: str = REGION,
    product: str = "oss",
) -> Sent:
    """Sign as oss2 does. `additional` is the name of one more header that V4 must sign."""
    auth = signer(mode, who or root(oss))
    more = () if additional is None else (additional,)
    path = f"/{bucket}/{quote(key)}"
    request = oss2.http.Request(
        method, path, params=dict(params or {}), headers=headers, region=region, product=product
    )
    if mode.endswith("query"):
        url = auth._sign_url(request, bucket, key, expires, *more)
        return Sent(method, url, dict(headers or {}))
    auth._sign_request(request, bucket, key, *more)
    query = "&".join(
        f"{quote(name, '')}={quote(value, '')}" for name, value in (params or {}).items()
    )
    kept = {name: value for name, value in request.headers.items() if value is not None}
    return Sent(method, f"{path}?{query}" if query else path, kept)


def refusal(answer: Answer) -> tuple[int, str, str]:
    """Return status, code and EC of an answer, also of a HEAD answer. A header must repeat the
    EC."""
    status, headers, body = answer
    document = parse(body or base64.b64decode(headers["x-oss-err"]), "Error")
    assert document.findtext("RequestId") == headers["x-oss-request-id"]
    ec = document.findtext("EC", "")
    assert ec == headers.get("x-oss-ec", "")
    return status, document.findtext("Code", ""), ec


def mismatch(mode: str) -> tuple[int, str, str]:
    ec = "0002-00000040" if mode.startswith("V1") else "0002-00000201"
    return 403, "SignatureDoesNotMatch", ec


@pytest.fixture(autouse=True)
def _something_to_read(oss: Oss) -> None:
    oss.oss2().put_object("a", b"secret bytes")


# Keys and tokens


@every_mode
@pytest.mark.parametrize("holder", [root, session])
def test_lets_in_who_signs_rightly(oss: Oss, mode: str, holder: Callable[[Oss], Who]) -> None:
    status, _, body = signed(oss, mode, who=holder(oss)).to(oss)
    assert (status, body) == (200, b"secret bytes")


def wrong_secret(oss: Oss) -> Who:
    return replace(root(oss), secret="guessed-secret")


def wrong_session_secret(oss: Oss) -> Who:
    return replace(session(oss), secret="guessed-secret")


def unknown_key(oss: Oss) -> Who:
    return replace(root(oss), key_id="LTAI5tNobody")


def session_without_token(oss: Oss) -> Who:
    return replace(session(oss), token=None)


def tampered_token(oss: Oss) -> Who:
    who = session(oss)
    token = who.token or ""
    middle = len(token) // 2
    other = "A" if token[middle] != "A" else "B"
    return replace(who, token=token[:middle] + other + token[middle + 1 :])


def made_up_token(oss: Oss) -> Who:
    return replace(session(oss), token="CAISmade-up")


def token_of_another_session(oss: Oss) -> Who:
    return replace(session(oss), token=session(oss).token)


def root_with_a_token(oss: Oss) -> Who:
    return replace(root(oss), token=session(oss).token)


@every_mode
@pytest.mark.parametrize(
    ("holder", "expected"),
    [
        (wrong_secret, None),
        (wrong_session_secret, None),
        (unknown_key, UNKNOWN),
        (session_without_token, (403, "InvalidAccessKeyId", "0002-00000003")),
        (tampered_token, (403, "InvalidSecurityToken", "0002-00000006")),
        (made_up_token, (403, "InvalidSecurityToken", "0002-00000006")),
        (token_of_another_session, (403, "InvalidSecurityToken", "0002-00000004")),
        (root_with_a_token, UNKNOWN),
    ],
)
def test_refuses_who_holds_no_key(
    oss: Oss, mode: str, holder: Callable[[Oss], Who], expected: tuple[int, str, str] | None
) -> None:
    answer = signed(oss, mode, who=holder(oss)).to(oss)
    assert refusal(answer) == (expected or mismatch(mode))


@every_mode
def test_refuses_a_token_that_has_expired(oss: Oss, mode: str) -> None:
    request = signed(oss, mode, who=session(oss, seconds=60), expires=600)
    assert request.to(oss)[0] == 200
    oss.clock.ahead = 61
    assert refusal(request.to(oss)) == (403, "SecurityTokenExpired", "0002-00000007")


@every_mode
def test_refuses_a_token_that_was_added_after_signing(oss: Oss, mode: str) -> None:
    who = session(oss)
    request = signed(oss, mode, who=replace(who, token=None))
    name = "security-token" if mode == "V1 query" else "x-oss-security-token"
    if mode.endswith("query"):
        request = replace(request, path=f"{request.path}&{name}={who.token}")
    else:
        request = replace(request, headers={**request.headers, name: who.token or ""})
    assert refusal(request.to(oss)) == mismatch(mode)


@every_mode
def test_a_mismatch_tells_what_should_have_been_signed_and_no_secret(oss: Oss, mode: str) -> None:
    request = signed(oss, mode, key="ü", who=wrong_secret(oss))
    _, _, body = request.to(oss)
    document = parse(body, "Error")
    assert document.findtext("OSSAccessKeyId") == oss.root.access_key_id
    assert document.findtext("SignatureProvided") == request.signature
    text = document.findtext("StringToSign", "")
    in_hex = document.findtext("StringToSignBytes", "").replace(" ", "")
    assert bytes.fromhex(in_hex).decode() == text
    scope = V4Scope(text.partition("\n")[2][:8], REGION)
    made, right = (
        v1_signature(text.encode(), secret)
        if mode.startswith("V1")
        else v4_signature(text, secret, scope)
        for secret in ("guessed-secret", oss.root.access_key_secret)
    )
    assert made == request.signature
    for secret in (right, oss.root.access_key_secret, "guessed-secret"):
        assert secret not in body.decode()


# V1, where it is refused

REFUSED_V1 = (403, "SignatureV1Refused", "")


@pytest.mark.parametrize("mode", MODES[:2])
@pytest.mark.parametrize("holder", [root, session, wrong_secret, unknown_key, made_up_token])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_v1_is_refused_whoever_signs(
    oss: Oss, mode: str, holder: Callable[[Oss], Who], method: str
) -> None:
    """The answer does not depend on the key, so nobody can find out in this way which keys
    exist."""
    answer = signed(oss, mode, method, who=holder(oss)).to(oss)
    assert refusal(answer) == REFUSED_V1
    assert oss.oss2().get_object("a").read() == b"secret bytes"


def test_the_refusal_of_v1_names_the_line_of_each_client(oss: Oss) -> None:
    message = parse(signed(oss, "V1 header").to(oss)[2], "Error").findtext("Message", "")
    assert message == (
        "Signature V1 is refused here, as it is for new accounts and new buckets. Sign with V4:\n"
        'Android: conf.setSignVersion(SignVersion.V4); client.setRegion("cn-hangzhou")\n'
        'iOS: conf.signVersion = OSSSignVersionV4; client.region = @"cn-hangzhou"\n'
        "ali-oss: authorizationV4: true, region: 'oss-cn-hangzhou' (6.20 or newer)\n"
        "oss2: StsAuth(..., auth_version='v4'), Bucket(..., region='cn-hangzhou') "
        "(2.18.4 or newer)\n"
        "ossutil 1: --sign-version v4 --region cn-hangzhou (1.7.12 or newer)\n"
        'Go SDK 1: oss.AuthVersion(oss.AuthV4), oss.Region("cn-hangzhou") (3.0.2 or newer)\n'
        "Others: see the vendor's guide from V1 to V4. To simulate an old bucket, which accepts "
        "V1, start `make run SIGNATURE_V1=1`. (This answer is the sandbox's own.)"
    )


@pytest.mark.parametrize(
    ("authorization", "query"),
    [
        ("OSS LTAI5tRoot", ""),
        ("OSS LTAI5tRoot:AAAA", ""),
        ("OSS  LTAI5tRoot:AAAA", ""),
        (None, "OSSAccessKeyId"),
        (None, "OSSAccessKeyId=LTAI5tRoot"),
        (None, "Signature=AAAA"),
        (None, "%4FSSAccessKeyId=LTAI5tRoot&%53ignature=AAAA&Expires=9999999999"),
    ],
)
def test_half_a_v1_signature_is_refused_as_v1(
    oss: Oss, authorization: str | None, query: str
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    assert refusal(Sent("GET", f"/{BUCKET}/a?{query}", headers).to(oss)) == REFUSED_V1


@pytest.mark.parametrize("scheme", ["oss", "Oss", "OSS\t", "OSS1", "OSS4"])
def test_no_other_spelling_of_v1s_scheme_is_let_in(oss: Oss, scheme: str) -> None:
    request = signed(oss, "V1 header")
    authorization = f"{scheme} {request.headers['authorization'].removeprefix('OSS ')}"
    assert refusal(request.having(authorization=authorization).to(oss)) == INVALID


@pytest.mark.parametrize("name", ["ossaccesskeyid", "OSSACCESSKEYID"])
def test_no_other_spelling_of_v1s_parameters_is_a_signature(oss: Oss, name: str) -> None:
    request = signed(oss, "V1 query").rewriting_path("OSSAccessKeyId", name)
    request = request.rewriting_path("Signature", "signature")
    assert refusal(request.to(oss)) == DENIED


def test_v1_does_not_get_in_beside_v4(oss: Oss) -> None:
    """A valid V1 signature is sent with an invalid V4 signature, or the other way round."""
    for v1, v4 in product(MODES[:2], MODES[2:]):
        for of_v1, of_v4 in ((root(oss), unknown_key(oss)), (unknown_key(oss), root(oss))):
            one, other = signed(oss, v1, who=of_v1), signed(oss, v4, who=of_v4)
            queries = [sent.path.partition("?")[2] for sent in (one, other)]
            path = f"/{BUCKET}/a?{'&'.join(filter(None, queries))}"
            both = Sent("GET", path, {**other.headers, **one.headers})
            if v1 == "V1 header" and v4 == "V4 header":
                # V1 and V4 both use the header Authorization, so this request has only the
                # signature of V1.
                assert refusal(both.to(oss)) == REFUSED_V1
            else:
                assert refusal(both.to(oss)) == INVALID


def test_v4_fields_do_not_make_a_v1_header_good(oss: Oss) -> None:
    v4 = signed(oss, "V4 header")
    kept = {name: value for name, value in v4.headers.items() if name != "authorization"}
    request = signed(oss, "V1 header", headers=kept)
    assert refusal(request.to(oss)) == REFUSED_V1


def test_a_second_authorization_header_is_no_way_around(oss: Oss) -> None:
    """One request has a V4 header with an unknown key, and also a valid V1 header. Two
    Authorization headers count as one header, with a comma between the values."""
    request = signed(oss, "V4 header", who=unknown_key(oss))
    v1 = signed(oss, "V1 header").headers["authorization"]
    v4 = request.headers["authorization"]
    assert refusal(request.having(authorization=f"{v1},{v4}").to(oss)) == REFUSED_V1
    assert refusal(request.having(authorization=f"{v4},{v1}").to(oss)) == UNKNOWN


# Times


@in_header
@pytest.mark.parametrize("ahead", [-910, 910])
def test_refuses_a_clock_that_is_a_quarter_of_an_hour_off(oss: Oss, mode: str, ahead: int) -> None:
    request = signed(oss, mode)
    oss.clock.ahead = ahead
    assert refusal(request.to(oss)) == SKEWED


@every_mode
@pytest.mark.parametrize("ahead", [-880, 880])
def test_bears_with_a_clock_that_is_less_off(oss: Oss, mode: str, ahead: int) -> None:
    request = signed(oss, mode, expires=1000)
    oss.clock.ahead = ahead
    assert request.to(oss)[0] == 200


@in_header
def test_refuses_a_signature_without_a_date(oss: Oss, mode: str) -> None:
    request = signed(oss, mode).lacking("date", "x-oss-date")
    assert refusal(request.to(oss)) == DENIED


@in_header
@pytest.mark.parametrize(
    "date",
    [
        "",
        "today",
        "GMT",
        "Thu, 99 Nov 2005 18:49:58 GMT",
        "Thu, 17 Nov 2005 18:49:58 -0000",
        "Thu, 17 Nov 99999999999 18:49:58 GMT",
        "1700000000",
        "20251350T000000Z",
        "2025-11-07T00:00:00Z",
        "2025110\u0667T000000Z",
    ],
)
def test_refuses_a_date_that_is_none(oss: Oss, mode: str, date: str) -> None:
    request = signed(oss, mode).lacking("date")
    raw = date.encode().decode("latin-1")
    assert refusal(request.having(x_oss_date=raw).to(oss)) == DENIED


@with_v1
def test_v1_takes_the_time_from_x_oss_date_first(oss: Oss) -> None:
    now = formatdate(usegmt=True)
    request = signed(oss, "V1 header", headers={"x-oss-date": now})
    assert request.lacking("date").to(oss)[0] == 200
    assert request.having(date="Thu, 17 Nov 2005 18:49:58 GMT").to(oss)[0] == 200
    oss.clock.ahead = 910
    late = request.having(date=formatdate(time.time() + 910, usegmt=True))
    assert refusal(late.to(oss)) == SKEWED


def test_v4_takes_the_time_from_date_without_x_oss_date(oss: Oss) -> None:
    # Android's SDK signs in this way.
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    who = root(oss)
    auth = signer("V4", who)
    request = oss2.http.Request("GET", "", headers={"date": stamp}, region=REGION, product="oss")
    signature = auth._ProviderAuthV4__make_signature(
        request, BUCKET, "a", None, auth.credentials_provider.get_credentials(), stamp
    )
    scope = V4Scope(stamp[:8], REGION)
    authorization = f"OSS4-HMAC-SHA256 Credential={who.key_id}/{scope},Signature={signature}"
    sent = Sent("GET", f"/{BUCKET}/a", {"date": stamp, "authorization": authorization})
    assert sent.to(oss)[2] == b"secret bytes"
    other = f"{stamp[:-2]}{(int(stamp[-2]) + 1) % 10}Z"
    assert refusal(sent.having(date=other).to(oss)) == mismatch("V4")


def go_sdk(oss: Oss, date: str, day: str, method: str = "GET") -> Sent:
    """Sign a request like aliyun-oss-go-sdk with AuthV4 (its files oss/auth.go, oss/conn.go).

    The SDK sends no x-oss-date. The SDK sends a Date in HTTP's form, and signs the text of this
    Date.
    """
    headers = {"x-oss-content-sha256": UNSIGNED_PAYLOAD, "date": date}
    scope = V4Scope(day, REGION)
    canonical = v4_canonical_request(
        method, f"/{BUCKET}/a", headers, [], [], headers["x-oss-content-sha256"]
    )
    text = v4_string_to_sign(canonical, date, scope)
    who = root(oss)
    signature = v4_signature(text, who.secret, scope)
    authorization = f"OSS4-HMAC-SHA256 Credential={who.key_id}/{scope},Signature={signature}"
    return Sent(method, f"/{BUCKET}/a", {**headers, "authorization": authorization})


def test_v4_takes_the_plain_date_of_the_go_sdk_and_of_ossutil_1(oss: Oss) -> None:
    """TestVerifyObjectStrictAuthV4 of aliyun-oss-go-sdk sends requests with a Date in HTTP's form
    to the real OSS."""
    now = time.time()
    day = time.strftime("%Y%m%d", time.gmtime(now))
    request = go_sdk(oss, formatdate(now, usegmt=True), day)
    assert request.to(oss)[2] == b"secret bytes"
    # The signature covers the date as text. Therefore another date is refused, even if it is only a
    # second away.
    other = request.having(date=formatdate(now - 1, usegmt=True))
    assert refusal(other.to(oss)) == mismatch("V4")


def test_a_plain_date_is_bound_like_the_other_one(oss: Oss) -> None:
    now = time.time()
    date, day = formatdate(now, usegmt=True), time.strftime("%Y%m%d", time.gmtime(now))
    assert refusal(go_sdk(oss, date, "20240101").to(oss)) == INVALID
    oss.clock.ahead = 910
    assert refusal(go_sdk(oss, date, day).to(oss)) == SKEWED
    oss.clock.ahead = 0
    for wrong in ("", "today", date.replace("GMT", "+0000"), date.replace("GMT", "-0000")):
        assert refusal(go_sdk(oss, wrong, day).to(oss)) == DENIED


def test_x_oss_date_is_never_a_plain_date_in_v4(oss: Oss) -> None:
    date = formatdate(usegmt=True)
    request = signed(oss, "V4 header").having(x_oss_date=date)
    assert refusal(request.to(oss)) == DENIED


# Signed URLs


@every_version
def test_a_signed_url_of_oss2_ends_when_it_says(oss: Oss, version: str) -> None:
    url = oss.oss2(version=version).sign_url("GET", "a", 60, slash_safe=True)
    request = Sent("GET", url.removeprefix(oss.endpoint), {})
    oss.clock.ahead = 58
    assert request.to(oss)[2] == b"secret bytes"
    oss.clock.ahead = 62
    assert refusal(request.to(oss)) == EXPIRED


@in_query
def test_an_expired_url_is_told_so_even_with_a_wrong_signature(oss: Oss, mode: str) -> None:
    request = signed(oss, mode, who=wrong_secret(oss))
    oss.clock.ahead = 62
    answer = request.to(oss)
    assert refusal(answer) == EXPIRED
    assert parse(answer[2], "Error").findtext("Expires", "").endswith(".000Z")


def test_refuses_a_v4_url_that_is_not_valid_yet(oss: Oss) -> None:
    request = signed(oss, "V4 query")
    oss.clock.ahead = -910
    assert refusal(request.to(oss)) == (403, "AccessDenied", "0002-00000235")


@pytest.mark.parametrize(
    "expires", [0, -1, 604801, 9999999, "", "1e3", "60.0", " 60", "\u0666\u0660"]
)
def test_refuses_a_v4_url_that_lasts_too_long_or_not_at_all(oss: Oss, expires: int | str) -> None:
    request = signed(oss, "V4 query", expires=expires)  # type: ignore[arg-type]
    assert refusal(request.to(oss)) == (400, "InvalidArgument", "0002-00000232")


@pytest.mark.parametrize("expires", [1, 604800])
def test_takes_a_v4_url_that_lasts_as_long_as_it_may(oss: Oss, expires: int) -> None:
    oss.clock.ahead = -1
    assert signed(oss, "V4 query", expires=expires).to(oss)[0] == 200


@with_v1
@pytest.mark.parametrize("expires", ["", "soon", "-1", "1e12", "9" * 19, "\u0666\u0660"])
def test_refuses_a_v1_url_whose_end_is_no_time(oss: Oss, expires: str) -> None:
    request = signed(oss, "V1 query").without_parameter("Expires")
    request = replace(request, path=f"{request.path}&Expires={quote(expires)}")
    assert refusal(request.to(oss)) == INVALID


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        *(
            pytest.param("V1 query", name, marks=with_v1)
            for name in ("OSSAccessKeyId", "Expires", "Signature")
        ),
        *(
            ("V4 query", f"x-oss-{name}")
            for name in ("signature-version", "credential", "date", "expires", "signature")
        ),
    ],
)
def test_refuses_a_url_that_lacks_a_part_of_its_signature(oss: Oss, mode: str, name: str) -> None:
    request = signed(oss, mode).without_parameter(name)
    assert refusal(request.to(oss)) == INVALID


@every_mode
@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_refuses_a_signature_under_another_method(oss: Oss, mode: str, method: str) -> None:
    request = replace(signed(oss, mode), method=method)
    assert refusal(request.to(oss)) == mismatch(mode)
    assert oss.oss2().get_object("a").read() == b"secret bytes"


@every_mode
def test_refuses_a_signature_of_another_object(oss: Oss, mode: str) -> None:
    request = signed(oss, mode, key="b").rewriting_path("/b", "/a")
    assert refusal(request.to(oss)) == mismatch(mode)


@every_mode
@pytest.mark.parametrize("used", ["text/html", "", None])
def test_refuses_an_upload_of_another_content_type(oss: Oss, mode: str, used: str | None) -> None:
    request = signed(oss, mode, "PUT", headers={"content-type": "text/plain"})
    altered = request.lacking("content-type")
    if used is not None:
        altered = altered.having(content_type=used)
    assert refusal(altered.to(oss)) == mismatch(mode)
    assert request.to(oss)[0] == 200


@every_mode
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("response-content-type=text%2Fplain", "response-content-type=text%2Fhtml"),
        ("response-content-type=text%2Fplain", "response-content-type="),
        ("response-content-type=text%2Fplain", "response-content-language=de"),
        ("response-content-type=", "acl&response-content-type="),
        ("response-content-type=", "response-content-type=first&response-content-type="),
    ],
)
def test_refuses_a_url_with_another_parameter(oss: Oss, mode: str, before: str, after: str) -> None:
    request = signed(oss, mode, params={"response-content-type": "text/plain"})
    assert request.to(oss)[1]["content-type"] == "text/plain"
    assert refusal(request.rewriting_path(before, after).to(oss)) == mismatch(mode)


@in_query
def test_a_url_signature_is_good_for_no_header(oss: Oss, mode: str) -> None:
    parameters = dict(
        part.split("=") for part in signed(oss, mode).path.partition("?")[2].split("&")
    )
    if mode == "V1 query":
        signature = oss2.compat.urlunquote(parameters["Signature"])
        authorization = f"OSS {oss.root.access_key_id}:{signature}"
        headers = {"date": parameters["Expires"], "authorization": authorization}
        expected = DENIED
    else:
        credential = oss2.compat.urlunquote(parameters["x-oss-credential"])
        authorization = (
            f"OSS4-HMAC-SHA256 Credential={credential},Signature={parameters['x-oss-signature']}"
        )
        headers = {"date": parameters["x-oss-date"], "authorization": authorization}
        expected = mismatch(mode)
    assert refusal(Sent("GET", f"/{BUCKET}/a", headers).to(oss)) == expected


# What carries the signature


def test_refuses_two_signatures_at_once(oss: Oss) -> None:
    sent = {mode: signed(oss, mode) for mode in MODES}
    queries = {mode: sent[mode].path.partition("?")[2] for mode in MODES[1::2]}
    for header in MODES[::2]:
        for query in queries.values():
            both = replace(sent[header], path=f"{sent[header].path}?{query}")
            assert refusal(both.to(oss)) == INVALID
    both = replace(sent["V1 query"], path=f"{sent['V1 query'].path}&{queries['V4 query']}")
    assert refusal(both.to(oss)) == INVALID


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "OSS",
        pytest.param("OSS LTAI5tRoot", marks=with_v1),
        "oss LTAI5tRoot:AAAA",
        "OSS2 AccessKeyId:LTAI5tRoot,Signature:AAAA",
        "Basic TFRBSTV0Um9vdDo=",
        "Bearer token",
        "AWS4-HMAC-SHA256 Credential=LTAI5tRoot/d/r/oss/aliyun_v4_request,Signature=00",
        "OSS4-HMAC-SHA256",
        "OSS4-HMAC-SHA256 Credential=LTAI5tRoot/d/r/oss/aliyun_v4_request",
        "OSS4-HMAC-SHA256 Signature=00",
        "OSS4-HMAC-SHA256 Credential=a,Credential=b,Signature=00",
    ],
)
def test_refuses_an_authorization_that_is_none(oss: Oss, authorization: str) -> None:
    headers = {"date": formatdate(usegmt=True), "authorization": authorization}
    assert refusal(Sent("GET", f"/{BUCKET}/a", headers).to(oss)) == INVALID


@pytest.mark.parametrize(
    ("mode", "sentence", "ec"),
    [
        ("V4 header", "Invalid signing region in Authorization header.", "0002-00000226"),
        ("V4 query", "The signing region in credential is invalid.", "0002-00000228"),
    ],
)
@pytest.mark.parametrize("region", ["cn-beijing", "oss-cn-hangzhou", ""])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_refuses_a_v4_region_that_is_not_the_buckets_as_oss_does(
    oss: Oss, mode: str, sentence: str, ec: str, region: str, method: str
) -> None:
    """Sources: the vendor's pages of both ECs, test_3_exception_head_err and test_sign_v4_no_region
    of oss2.

    The sandbox's message has the vendor's sentence, and then a sentence of the sandbox itself,
    which names the correct scope.
    """
    answer = signed(oss, mode, method, region=region).to(oss)
    assert refusal(answer) == (400, "InvalidArgument", ec)
    document = parse(answer[2] or base64.b64decode(answer[1]["x-oss-err"]), "Error")
    day = time.strftime("%Y%m%d", time.gmtime())
    scope = f"{day}/{REGION}/oss/aliyun_v4_request"
    assert document.findtext("Message", "").startswith(
        f"{sentence} The credential's scope must be {scope}"
    )


@pytest.mark.parametrize("mode", MODES[2:])
def test_refuses_a_v4_scope_of_another_product(oss: Oss, mode: str) -> None:
    assert refusal(signed(oss, mode, product="oss-cloudbox").to(oss)) == INVALID


@pytest.mark.parametrize("mode", MODES[2:])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{day}/", "20240101/"),
        ("{day}/", ""),
        ("/aliyun_v4_request", "/aws4_request"),
        ("/aliyun_v4_request", "/aliyun_v4_request/"),
        ("/aliyun_v4_request", ""),
    ],
)
def test_refuses_another_v4_scope_than_the_day_of_its_date(
    oss: Oss, mode: str, before: str, after: str
) -> None:
    request = signed(oss, mode)
    day = time.strftime("%Y%m%d", time.gmtime())
    assert refusal(request.rewriting(before.format(day=day), after).to(oss)) == INVALID


@pytest.mark.parametrize("mode", MODES[2:])
@pytest.mark.parametrize(
    ("names", "ec"),
    [
        ("", "0002-00000209"),
        ("range;", "0002-00000209"),
        (";range", "0002-00000209"),
        ("accept-encoding;;range", "0002-00000209"),
        ("if-match", "0002-00000210"),
        ("range;if-match", "0002-00000210"),
        ("Range", "0002-00000210"),
    ],
)
def test_refuses_additional_headers_that_are_none(oss: Oss, mode: str, names: str, ec: str) -> None:
    request = signed(oss, mode, headers={"range": "bytes=0-1"})
    if mode == "V4 header":
        authorization = f"{request.headers['authorization']}, AdditionalHeaders={names}"
        request = request.having(authorization=authorization)
    else:
        request = replace(request, path=f"{request.path}&x-oss-additional-headers={names}")
    assert refusal(request.to(oss)) == (400, "InvalidArgument", ec)


@pytest.mark.parametrize("mode", MODES[2:])
def test_an_additional_header_is_signed(oss: Oss, mode: str) -> None:
    headers = {"range": "bytes=0-1"}
    request = signed(oss, mode, headers=headers, additional={"range"})
    assert request.to(oss)[2] == b"se"
    assert refusal(request.having(range="bytes=0-9").to(oss)) == mismatch(mode)
    left_out = replace(
        request,
        path=request.path.replace("&x-oss-additional-headers=range", ""),
        headers={
            name: value.replace(", AdditionalHeaders=range", "")
            for name, value in request.headers.items()
        },
    )
    assert refusal(left_out.to(oss)) == mismatch(mode)


def test_reads_v4s_authorization_in_any_order_and_spacing(oss: Oss) -> None:
    request = signed(oss, "V4 header", headers={"range": "bytes=0-1"}, additional={"range"})
    scheme, _, rest = request.headers["authorization"].partition(" ")
    credential, signature, additional = rest.split(", ")
    assert [part.partition("=")[0] for part in (credential, signature, additional)] == [
        "Credential",
        "Signature",
        "AdditionalHeaders",
    ]
    documented = f"{scheme} {credential},{additional},{signature}"
    for authorization in (request.headers["authorization"], documented):
        assert request.having(authorization=authorization).to(oss)[2] == b"se"


@pytest.mark.parametrize("payload", ["e3b0c44298fc1c14", "unsigned-payload", "", "STREAMING"])
def test_v4_refuses_a_hash_of_the_body(oss: Oss, payload: str) -> None:
    request = signed(oss, "V4 header").having(x_oss_content_sha256=payload)
    assert refusal(request.to(oss)) == INVALID


# What the signature covers


@every_mode
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-oss-object-acl", "public-read"),
        ("x-oss-copy-source", f"/{BUCKET}/a"),
        ("x-oss-meta-author", "mallory"),
        ("X-OSS-Forbid-Overwrite", "false"),
    ],
)
def test_refuses_a_header_that_was_added_after_signing(
    oss: Oss, mode: str, name: str, value: str
) -> None:
    request = signed(oss, mode, "PUT", "new")
    altered = replace(request, headers={**request.headers, name: value})
    assert refusal(altered.to(oss)) == mismatch(mode)
    assert oss.storage.find(BUCKET, "new") is None


@every_mode
@pytest.mark.parametrize("blank", ["\xa0", "\x85"])
def test_only_blanks_of_ascii_are_around_a_value(oss: Oss, mode: str, blank: str) -> None:
    """A Content-Type with another kind of blank is invalid. If a wrong Content-Type were stored, a
    browser would guess the type."""
    request = signed(oss, mode, "PUT", "new", headers={"content-type": "image/png"})
    altered = {**request.headers, "content-type": f"image/png{blank}"}
    assert refusal(replace(request, headers=altered).to(oss)) == mismatch(mode)
    assert oss.storage.find(BUCKET, "new") is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("path", [f"/{BUCKET}/a", f"/{BUCKET}/not-there"])
def test_refuses_who_does_not_sign(oss: Oss, method: str, path: str) -> None:
    assert refusal(oss.raw(method, path)) == DENIED
    assert oss.oss2().get_object("a").read() == b"secret bytes"
    assert oss.storage.find(BUCKET, "not-there") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", f"/{BUCKET}/"),
        ("GET", f"/{BUCKET}/?acl"),
        ("PUT", f"/{BUCKET}/?acl"),
        ("PUT", "/new-bucket/"),
        ("DELETE", f"/{BUCKET}/"),
        ("POST", f"/{BUCKET}/a?uploads"),
    ],
)
def test_who_does_not_sign_may_do_nothing_with_buckets(oss: Oss, method: str, path: str) -> None:
    assert refusal(oss.raw(method, path)) == DENIED
    assert [bucket.name for bucket in oss.storage.buckets()] == [BUCKET]


@every_mode
def test_a_refused_head_tells_why_in_its_headers(oss: Oss, mode: str) -> None:
    status, headers, body = signed(oss, mode, "HEAD", who=wrong_secret(oss)).to(oss)
    assert (status, body) == (403, b"")
    document = parse(base64.b64decode(headers["x-oss-err"]), "Error")
    assert document.findtext("Code") == "SignatureDoesNotMatch"
    assert headers["x-oss-ec"] == document.findtext("EC") == mismatch(mode)[2]


# Repeated parameters


ONLY_MINE = policy(
    {
        "Action": "oss:ListObjects",
        "Resource": f"acs:oss:*:*:{BUCKET}",
        "Condition": {"StringLike": {"oss:Prefix": "mine/*"}},
    }
)


def listing(oss: Oss, version: str, query: str, *, spelt: bool = False) -> Sent:
    """Sign a listing as somebody who may only list mine/. The parameters are sent unchanged.

    If `spelt` is true, the V4 signature covers a parameter without a value as "name=". Otherwise
    it covers such a parameter as "name".
    """
    who = session(oss, ONLY_MINE)
    if version == "V1":
        # V1 does not sign these parameters.
        request = signed(oss, "V1 header", key="", who=who)
        return replace(request, path=f"{request.path}?{query}")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = V4Scope(stamp[:8], REGION)
    headers = {"x-oss-date": stamp, "x-oss-security-token": who.token or ""}
    parts = [part.partition("=") for part in query.split("&")]
    pairs = [(name, value, spelt) for name, _, value in parts]
    canonical = v4_canonical_request("GET", f"/{BUCKET}/", headers, pairs, [], UNSIGNED_PAYLOAD)
    signature = v4_signature(v4_string_to_sign(canonical, stamp, scope), who.secret, scope)
    authorization = f"OSS4-HMAC-SHA256 Credential={who.key_id}/{scope},Signature={signature}"
    return Sent("GET", f"/{BUCKET}/?{query}", {**headers, "authorization": authorization})


@pytest.mark.parametrize("version", [pytest.param("V1", marks=with_v1), "V4"])
def test_of_a_repeated_parameter_the_first_is_judged_and_done(oss: Oss, version: str) -> None:
    for key in ("mine/a", "other/b"):
        oss.oss2().put_object(key, b"")
    status, _, body = listing(oss, version, "prefix=mine/&prefix=other/").to(oss)
    assert status == 200
    found = parse(body, "ListBucketResult")
    assert [element.findtext("Key") for element in found.findall("Contents")] == ["mine/a"]
    refused = listing(oss, version, "prefix=other/&prefix=mine/").to(oss)
    assert refusal(refused) == (403, "AccessDenied", "0003-00000301")
    empty_first = listing(oss, version, "prefix=&prefix=mine/").to(oss)
    assert refusal(empty_first) == (403, "AccessDenied", "0003-00000301")


@pytest.mark.parametrize("spelt", [False, True])
def test_v4_takes_an_empty_value_in_either_spelling(oss: Oss, spelt: bool) -> None:
    # ali-oss signs "name=", and oss2 signs "name" as documented.
    sent = listing(oss, "V4", "prefix=mine/&delimiter=", spelt=spelt)
    assert sent.to(oss)[0] == 200
    bare = replace(sent, path=sent.path.removesuffix("="))
    assert bare.to(oss)[0] == (403 if spelt else 200)


@in_query
def test_a_parameter_that_is_repeated_after_signing_gains_nothing(oss: Oss, mode: str) -> None:
    request = signed(oss, mode, params={"response-content-type": "text/plain"})
    answer = replace(request, path=f"{request.path}&response-content-type=text/html").to(oss)
    # V1 signs only the first value, and OSS reads only the first value.
    if mode == "V1 query":
        assert answer[1]["content-type"] == "text/plain"
    else:
        assert refusal(answer) == mismatch(mode)


# The place of the bucket in the URL


@pytest.fixture
def places(oss: Oss) -> Oss:
    """An OSS with two buckets. The first bucket has a key that looks like a path to the second
    bucket."""
    oss.storage.create_bucket(OTHER)
    oss.oss2().put_object(f"{OTHER}/key", b"mine")
    oss.oss2().put_object("key", b"plain")
    oss.oss2(bucket=OTHER).put_object("key", b"other")
    return oss


@every_mode
@pytest.mark.parametrize("host", [f"{BUCKET}.oss.test", f"{BUCKET}.oss.test:8080"])
def test_finds_the_bucket_in_the_host(oss: Oss, mode: str, host: str) -> None:
    request = signed(oss, mode).rewriting_path(f"/{BUCKET}/", "/")
    assert request.having(host=host).to(oss)[2] == b"secret bytes"
    assert refusal(request.having(host=f"{OTHER}.oss.test").to(oss)) == mismatch(mode)


@pytest.fixture
def with_default(tmp_path: Path, oss_server: Server, takes_v1: bool) -> Iterator[Oss]:
    folder = tmp_path / "default"
    with running_oss(folder, oss_server, default_bucket=BUCKET, takes_v1=takes_v1) as site:
        yield site


@every_mode
def test_where_nothing_names_a_bucket_the_default_is_meant(with_default: Oss, mode: str) -> None:
    with_default.oss2().put_object("folder/a", b"bytes")
    request = signed(with_default, mode, key="folder/a")
    for sent in (request, request.rewriting_path(f"/{BUCKET}/", "/")):
        assert sent.to(with_default)[2] == b"bytes"
    unsigned = with_default.raw("GET", "/folder/a")
    assert refusal(unsigned) == DENIED


@every_mode
@pytest.mark.parametrize(
    ("bucket", "key", "host", "path", "expected"),
    [
        # The first two requests have the same URL. The signature decides which object is read.
        (BUCKET, f"{OTHER}/key", f"{BUCKET}.oss.test", f"/{OTHER}/key", b"mine"),
        (OTHER, "key", f"{BUCKET}.oss.test", f"/{OTHER}/key", b"other"),
        (BUCKET, f"{OTHER}/key", "127.0.0.1", f"/{OTHER}/key", None),
        (BUCKET, "key", f"{BUCKET}.oss.test", f"/{OTHER}/key", None),
        (BUCKET, "key", f"{OTHER}.oss.test", "/key", None),
        (OTHER, "key", f"{BUCKET}.oss.test", "/key", None),
        (BUCKET, "key", "127.0.0.1", f"/{OTHER}/key", None),
        (BUCKET, "key", f"{OTHER}.oss.test", f"/{BUCKET}/key", b"plain"),
        (BUCKET, "key", f"{BUCKET}.oss.test", f"/{BUCKET}//key", None),
        (BUCKET, "key", f"{BUCKET}.oss.test", "/x/../key", None),
        (BUCKET, "key", f"{BUCKET}.oss.test", "/%6Bey", b"plain"),
        (BUCKET, "key", f"{BUCKET}.oss.test", "/%256Bey", None),
    ],
)
def test_what_was_signed_is_what_is_read_however_the_url_is_written(
    places: Oss, mode: str, bucket: str, key: str, host: str, path: str, expected: bytes | None
) -> None:
    request = signed(places, mode, key=key, bucket=bucket)
    before = f"/{bucket}/{quote(key)}"
    answer = request.rewriting_path(before, path).having(host=host).to(places)
    if expected is None:
        assert refusal(answer) == mismatch(mode)
    else:
        assert answer[2] == expected
