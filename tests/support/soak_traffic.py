"""Sends the requests of a soak's callers with real clients, and checks the answers. A wrong answer
raises Unexpected."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from math import inf
from typing import Any

import requests

from javascript import run
from running_cloud import Token
from sdk_clients import Refusal, client, refusal

NAMES = 8
"""The number of object names that a caller uses for each kind of request. It is limited, so that
the bucket stays small."""
KILOBYTES = 40
LISTING_SECONDS = 8
"""Seconds between two listings of a caller. A listing has a few pages, and 60 pages a minute are
allowed."""


class Unexpected(Exception):
    """Raised for an answer that differs from the contract; the message has the answer."""


def expect(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise Unexpected(f"{what}: {found!r} in place of {expected!r}")


class Caller:
    """One person with one app, for one thread. The caller has a login and a token. If the login or
    the token is refused because it has expired, the caller gets a new one."""

    def __init__(
        self,
        url: str,
        name: str,
        login: Callable[[str, float], str] | None,
        login_seconds: float,
    ) -> None:
        """`login` makes a login from a user and a lifetime in seconds. With AUTH=anonymous it is
        None."""
        self.url, self.name = url, name
        self._make_login, self._login_seconds = login, login_seconds
        self._http = requests.Session()
        self._http.trust_env = False
        self._random = random.Random(name)  # noqa: S311 - the same mixture each time
        self._login = login(name, login_seconds) if login else ""
        self._token: Token | None = None
        self._url_of_before: tuple[float, dict[str, Any]] | None = None
        self._listed = -inf
        self.renewed = {"login": 0, "token": 0}

    # The client's login and token

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._login}"} if self._login else {}

    def ask(self, path: str, method: str = "GET", /, **wishes: str) -> dict[str, Any]:
        """The answer of a route. If the login has expired, ask again with a new login."""
        given: dict[str, Any] = {"params": wishes} if method == "GET" else {"json": wishes}
        for _ in range(2):
            response = self._http.request(
                method, self.url + path, headers=self._headers(), timeout=10, **given
            )
            answer: dict[str, Any] = response.json()
            if answer.get("ErrorCode") != "ExpiredToken" or self._make_login is None:
                break
            self._login = self._make_login(self.name, self._login_seconds)
            self.renewed["login"] += 1
        expect(answer["StatusCode"], 200, f"{path} {answer}")
        return answer

    def _use(self, operation: Callable[[Token], Any]) -> Any:
        """Do an operation with the present token. If the token has expired, repeat the operation
        with a new token."""
        # The function may return cached tokens that are about to expire, so try several times.
        for _ in range(5):
            if self._token is None:
                self._token = Token.of(self.ask("/sts", self._random.choice(("GET", "POST"))))
            found: list[Any] = []
            token = self._token
            refused = refusal(lambda: found.append(operation(token)))  # noqa: B023 - called here
            if not _has_ended(refused):
                expect(refused, None, "with a token")
                return found[0]
            self._token = None
            self.renewed["token"] += 1
        raise Unexpected("five tokens in a row have expired")

    def _object(self, kind: str) -> tuple[str, bytes]:
        # The object's name begins with the caller's name, because with AUTH=anonymous all callers
        # share a folder.
        name = f"{self.name}-{kind}-{self._random.randrange(NAMES)}"
        return name, self._random.randbytes(self._random.randrange(1, KILOBYTES * 1024))

    def _sent(self, signed: dict[str, Any], body: bytes = b"", status: int = 200) -> bytes:
        response = self._http.request(
            signed["Method"], signed["Url"], headers=signed["Headers"], data=body, timeout=10
        )
        expect(response.status_code, status, f"{signed['Method']} {response.text[:300]}")
        return response.content

    # The kinds

    def token(self) -> None:
        """Get a token, with a random path and method."""
        path, method = self._random.choice((("/", "GET"), ("/", "POST"), ("/sts", "GET")))
        Token.of(self.ask(path, method))

    def signed_url(self) -> None:
        """PUT, HEAD and GET by signed URLs."""
        name, data = self._object("signed")
        self._sent(self.ask("/signed-url", object=name, method="PUT"), data)
        self._sent(self.ask("/signed-url", object=name, method="HEAD"))
        got = self._sent(self.ask("/signed-url", object=name, method="GET"))
        expect(got == data, True, "the bytes of a signed GET are those of the PUT")

    def ended_url(self) -> bool:
        """A signed URL of an earlier turn, which was valid for one second, is refused."""
        name, data = self._object("ended")
        if self._url_of_before:
            if time.monotonic() < self._url_of_before[0] + 2.1:
                return False
            self._sent(self._url_of_before[1], data, 403)
        signed = self.ask("/signed-url", object=name, method="PUT", expires="1")
        self._url_of_before = time.monotonic(), signed
        return True

    def form(self) -> None:
        """Post a form with a callback, as a page does."""
        name, data = self._object("form")
        answer = self.ask("/form")
        fields = {**answer["Fields"], "key": answer["Prefix"] + name}
        response = self._http.post(answer["Url"], data=fields, files={"file": data}, timeout=10)
        expect(response.status_code, 200, f"form {response.text[:300]}")
        expect(response.json()["Status"], "OK", "the callback's answer")

    def multipart(self) -> None:
        """Upload in parts with signed URLs. List the parts and complete the upload, or abort it."""
        name, data = self._object("parts")
        began = self.ask("/multipart", "POST", object=name, size=str(len(data)))
        text = self._sent(began).decode()
        step = {"Upload": began["Upload"]}
        step["upload_id"] = text.partition("<UploadId>")[2].partition("</UploadId>")[0]
        parts = self.ask("/multipart", "POST", parts="1", **step)["Parts"]
        for part in parts:
            self._sent(part, data)
        listed = self._sent(self.ask("/multipart", "POST", action="list", **step)).decode()
        etag = listed.partition("<ETag>")[2].partition("</ETag>")[0]
        if self._random.random() < 0.3:
            self._sent(self.ask("/multipart", "POST", action="abort", **step), status=204)
            return
        part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
        self._sent(self.ask("/multipart", "POST", action="complete", **step), document.encode())

    def uploads(self) -> bool:
        """List the caller's own objects, page by page. Do nothing soon after the last listing."""
        if time.monotonic() < self._listed + LISTING_SECONDS:
            return False
        self._listed = time.monotonic()
        marker: dict[str, str] = {}
        pages = 0
        while pages == 0 or marker:
            page = self.ask("/uploads", limit="40", **marker)
            outside = [one for one in page["Uploads"] if not one["Key"].startswith(page["Prefix"])]
            expect(outside, [], "/uploads lists the caller's own")
            marker, pages = ({"marker": page["Marker"]} if "Marker" in page else {}), pages + 1
        return True

    def health(self) -> None:
        """/health, which needs no login."""
        expect(self.ask("/health")["Status"], "OK", "/health")

    def sdk(self, name: str) -> None:
        """Use the token with an SDK: put, head, get and list, then begin and abort an upload."""
        key, data = self._object(name.replace(" ", "-"))

        def use(token: Token) -> object:
            sdk, whole = client(name, token), token.prefix + key
            sdk.put(whole, data)
            sdk.head(whole)
            expect(sdk.get(whole) == data, True, f"{name} gets what it put")
            expect(whole in sdk.list_v2(token.prefix + key), True, f"{name} lists what it put")
            return sdk.abort(whole, sdk.begin(whole))

        self._use(use)

    def ali_oss(self) -> None:
        """Run ali-oss in Node with tests/web/token_use.mjs: parts, resuming, refusals."""
        answer = self.ask("/")
        scope = answer["Scope"]
        job = {
            "token": answer,
            "endpoint": scope["Endpoint"].replace("127.0.0.1", "localhost"),
            "cname": False,
            "bucket": scope["Bucket"],
            "prefix": scope["Prefix"] + "ali-oss-",
            "outside": "elsewhere/",
            "authorizationV4": True,
            "image": "",
        }
        found = run("node_upload.mjs", job, own_group=True)
        for step in ("put", "get", "multipart", "resume", "abort", "list", "listV2"):
            expect("value" in found[step], True, f"ali-oss {step}: {found[step]}")

    def refusals(self) -> None:
        """Requests that are refused: a folder of another caller, no login, an expired login, an
        unknown wish."""

        def strangers(token: Token) -> Refusal | None:
            return refusal(client("oss-v2", token).put, "uploads-of-nobody/here")

        refused = self._use(strangers)
        if not _has_ended(refused):
            expect(refused and (refused.status, refused.code), (403, "AccessDenied"), "outside")
        wish = self._http.get(self.url + "/signed-url?objct=a", headers=self._headers(), timeout=10)
        codes = ["InvalidParameter.Object"]
        if self._make_login is not None:
            codes += ["ExpiredToken"]
            bare = self._http.get(self.url + "/", timeout=10)
            expect(bare.json()["ErrorCode"], "MissingToken", "without a login")
            ended = {"Authorization": f"Bearer {self._make_login(self.name, -3600)}"}
            late = self._http.get(self.url + "/", headers=ended, timeout=10)
            expect(late.json()["ErrorCode"], "ExpiredToken", "with a login of an hour ago")
        expect(wish.json()["ErrorCode"] in codes, True, f"a misspelt wish: {wish.text}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def kinds(self) -> dict[str, Callable[[], bool | None]]:
        """The functions that send each kind of requests, by name. If the last requests of a
        function were too recent, it sends nothing and returns False."""
        return {
            "token": self.token,
            "signed URL": self.signed_url,
            "ended URL": self.ended_url,
            "form": self.form,
            "multipart": self.multipart,
            "/uploads": self.uploads,
            "/health": self.health,
            "oss2": lambda: self.sdk("oss2 V4"),
            "oss-v2": lambda: self.sdk("oss-v2"),
            "refusals": self.refusals,
        }


def _has_ended(refused: Refusal | None) -> bool:
    # The code is "" after a HEAD, because oss2 does not read it.
    ended = ("SecurityTokenExpired", "")
    return refused is not None and refused.status == 403 and refused.code in ended
