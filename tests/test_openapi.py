"""docs/openapi.yaml describes the function's HTTP interface and its answers exactly."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

import token_service
from openapi import COMPONENTS, DOCUMENT, answers, faults, named, operations, resolved
from ops import errors_page
from running_cloud import RunningCloud, Token, running_cloud
from signed_logins import SECRET, login
from token_service import __version__
from token_service.app import ROUTES, App
from token_service.callback import variables as callback_variables
from token_service.errors import ServiceError
from token_service.grant import content_types, extensions, wish_names
from token_service.grant.grants import TOKEN_WISHES
from token_service.grant.refusals import InvalidParameter
from token_service.http import cors
from token_service.http.messages import Request
from token_service.oss_client import MAX_KEYS, MAX_SIZE
from token_service.routes import health, uploads
from token_service.settings import values
from token_service.settings import variables as v
from token_service.signing import multipart, signed_urls

SCHEMAS = COMPONENTS["schemas"]
ROWS = errors_page.load()
WISHES: Mapping[str, tuple[str, ...]] = {
    "/": TOKEN_WISHES,
    "/sts": TOKEN_WISHES,
    "/signed-url": wish_names.SIGNED_URL,
    "/form": wish_names.FORM,
    "/multipart": wish_names.MULTIPART,
    "/callback": (),
    "/uploads": wish_names.UPLOADS,
    "/health": (),
}


# Routes and wishes


def test_it_has_each_route_with_its_methods_and_no_other() -> None:
    documented: dict[str, set[str]] = {}
    for path, method, _ in operations():
        documented.setdefault(path, set()).add(method)
    assert documented == {route.path: set(route.methods) for route in ROUTES}
    assert DOCUMENT["info"]["version"] == __version__


def test_a_login_is_asked_for_where_the_route_needs_one() -> None:
    needs = {route.path: route.needs_login for route in ROUTES}
    for path, method, operation in operations():
        security = operation.get("security", DOCUMENT["security"])
        assert bool(security) == (needs[path] and method != "OPTIONS"), (path, method)


def test_an_error_comes_with_http_200_but_where_the_status_is_true() -> None:
    for route in ROUTES:
        for method in {"GET", "POST"} & set(route.methods):
            with_200 = answers(route.path, method, 200)["application/json"]["schema"]["anyOf"]
            is_error = [one["$ref"].endswith("Error") for one in with_200]
            assert is_error == ([False] if route.true_status else [False, True]), route.path


@pytest.mark.parametrize("path", WISHES)
def test_it_has_each_wish_of_a_route_and_no_other(path: str) -> None:
    assert WISHES.keys() == {route.path for route in ROUTES}
    for known, names in wish_names.ROUTES.items():
        assert set(names) <= set(WISHES[known])
    item = DOCUMENT["paths"][path]
    parameters = [resolved(one) for one in item.get("parameters", ())]
    in_query = [one["name"] for one in parameters if one["in"] == "query"]
    assert sorted(in_query) == sorted(WISHES[path])
    for name in in_query:
        assert COMPONENTS["parameters"][name]["schema"] == named(f"wish.{name}")
    if "post" not in item or not WISHES[path]:
        return
    content = resolved(item["post"]["requestBody"])["content"]
    for media_type in ("application/json", "application/x-www-form-urlencoded"):
        properties = resolved(content[media_type]["schema"])["properties"]
        assert properties == {name: named(f"wish.{name}") for name in WISHES[path]}


def test_each_range_and_default_is_that_of_the_code() -> None:
    def of(name: str, *keys: str) -> tuple[Any, ...]:
        return tuple(SCHEMAS[f"wish.{name}"].get(key) for key in keys)

    limits = ("minimum", "maximum", "default")
    longest, largest = values.MAX_SIGNATURE_SECONDS, values.MAX_OBJECT_BYTES
    most = -(-largest // multipart.PART_BYTES)
    assert of("duration", *limits) == (
        values.MIN_SESSION_SECONDS,
        values.MAX_SESSION_SECONDS,
        int(v.TOKEN_EXPIRE_TIME.default or 0),
    )
    assert of("expires", *limits) == (1, longest, int(v.URL_EXPIRE_TIME.default or 0))
    assert of("max_bytes", *limits) == (1, largest, int(v.UPLOAD_MAX_BYTES.default or 0))
    assert of("size", *limits) == (0, largest, None)
    assert of("limit", *limits) == (1, MAX_KEYS, int(uploads.DEFAULT_LIMIT))
    assert of("after", *limits) == (0, most, 0)
    assert of("parts", "minItems", "maxItems") == (1, multipart.MAX_PARTS)
    assert SCHEMAS["wish.parts"]["items"]["maximum"] == most
    assert of("method", "enum", "default") == (list(signed_urls.ACTIONS), "PUT")
    assert of("ext", "pattern") == (f"^{extensions.EXTENSION}$",)
    assert of("content_type", "pattern") == (f"^{content_types._EXACT}$",)
    assert of("x-oss-process", "maxLength") == (signed_urls.MAX_VALUE_BYTES,)
    assert SCHEMAS["Size"]["maximum"] == MAX_SIZE
    assert SCHEMAS["MultipartUpload"]["properties"]["PartSize"]["const"] == multipart.PART_BYTES
    assert SCHEMAS["Health"]["properties"]["Warnings"]["maxItems"] == health.MAX_WARNINGS
    sent = SCHEMAS["CallbackFields"]
    assert set(sent["required"]) == sent["properties"].keys() == set(callback_variables.FIELDS)
    uploaded = SCHEMAS["VerifiedUpload"]["required"]
    assert uploaded == ["StatusCode", "Status", *callback_variables.MEMBERS]
    preflight = " ".join(DOCUMENT["info"]["description"].split())
    assert f"({', '.join(cors.METHODS)})" in preflight
    assert f"({', '.join(cors.REQUEST_HEADERS)})" in preflight
    assert f"({cors.MAX_AGE_SECONDS} s)" in preflight
    assert f"({cors._EXPOSED})" in preflight


# Errors


def errors_in_code() -> dict[str, int]:
    """The code and the status of each error class. If a code names a wish after a dot, only the
    part before the dot counts."""
    for module in pkgutil.walk_packages(token_service.__path__, "token_service."):
        importlib.import_module(module.name)
    classes, found = [ServiceError], {}
    for one in classes:
        classes += one.__subclasses__()
        if one.__module__.startswith("token_service."):
            found[one.code] = one.status
    return {**found, "InvalidParameter": InvalidParameter.status}


def test_it_has_each_error_of_the_function_with_its_status_and_no_other() -> None:
    documented = {}
    for name, schema in SCHEMAS.items():
        if name.startswith("error."):
            status = schema["properties"]["StatusCode"].get("const")
            if status is not None:
                documented[name.removeprefix("error.")] = status
    assert documented == errors_in_code()


def test_it_has_each_error_of_the_catalogue_and_no_other() -> None:
    def of(source: str) -> set[str]:
        return {code for code, row in ROWS.items() if source in (row["from"], *row.get("also", ()))}

    platform = set(SCHEMAS["PlatformError"]["properties"]["ErrorCode"]["enum"])
    assert errors_in_code().keys() | platform == of("function")
    assert not errors_in_code().keys() & platform
    # OwnCode lists the codes that only our own code uses, and leaves out the codes that STS or OSS
    # may send. StsRefused and OssRefused accept every code that is not in OwnCode. So if an
    # answer has a code of OwnCode, it is valid only if the route's own list has this code.
    passed_on = of("STS") | of("OSS")
    assert sorted(SCHEMAS["OwnCode"]["enum"]) == sorted(errors_in_code().keys() - passed_on)
    for source, name in (("STS", "StsRefused"), ("OSS", "OssRefused")):
        known = SCHEMAS[f"error.{name}"]["properties"]["ErrorCode"]["examples"]
        assert sorted(known) == sorted(of(source))
    for code in errors_in_code():
        assert " ".join(SCHEMAS[f"error.{code}"]["description"].split()) == ROWS[code]["en"]["what"]


def test_a_wrong_wish_has_a_code_of_its_own() -> None:
    names = {name for wishes in WISHES.values() for name in wishes} | {"body"}
    known = SCHEMAS["error.InvalidParameter"]["properties"]["ErrorCode"]["enum"]
    assert sorted(known) == sorted(InvalidParameter(name, "").code for name in names)


def test_each_example_of_an_error_is_of_its_own_code() -> None:
    for name, schema in SCHEMAS.items():
        if name.startswith("error.") and "const" in schema["properties"]["ErrorCode"]:
            assert schema["properties"]["ErrorCode"]["const"] == name.removeprefix("error.")
            assert schema["examples"][0]["ErrorCode"] == name.removeprefix("error.")


# The document itself


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from nodes(inner)


def test_each_reference_leads_somewhere_and_each_component_is_used() -> None:
    used = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}
    for reference in used:
        resolved({"$ref": reference})
    known = {
        f"#/components/{kind}/{name}"
        for kind, found in COMPONENTS.items()
        for name in found
        if kind != "securitySchemes"
    }
    # The platform itself sends PlatformError, so no operation has it as an answer.
    assert known - used == {"#/components/schemas/PlatformError"}
    names = {name for one in DOCUMENT["security"] for name in one}
    assert names == COMPONENTS["securitySchemes"].keys()
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)


def examples() -> Iterator[tuple[str, dict[str, Any], object]]:
    """Yield for each example: its place in the document, its schema, and the example."""
    for name, schema in SCHEMAS.items():
        for example in schema.get("examples", ()):
            yield name, named(name), example
    for kind in ("responses", "requestBodies"):
        for name, one in COMPONENTS[kind].items():
            for content in one.get("content", {}).values():
                for title, example in content.get("examples", {}).items():
                    yield f"{name}, {title}", content["schema"], example["value"]
    for name, one in COMPONENTS["parameters"].items():
        if "example" in one:
            yield name, one["schema"], one["example"]


def test_each_example_is_what_its_schema_says() -> None:
    found = list(examples())
    assert len(found) > 60
    for place, schema, example in found:
        assert faults(schema, example) == [], place


def test_no_example_holds_what_could_be_a_key() -> None:
    """A real key id is "LTAI" with 12 to 20 more characters. A key id of STS begins with "STS." and
    is longer."""
    text = json.dumps([example for _, _, example in examples()])
    for key in re.findall(r"(?:LTAI|STS\.)[A-Za-z0-9]+", text):
        assert "NotAReal" in key


def test_each_wish_and_each_error_has_an_example() -> None:
    for name, schema in SCHEMAS.items():
        if name.startswith(("wish.", "error.")):
            assert schema["examples"], name
            assert schema["description"], name


# The answers


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud with logins, in which all features are enabled."""
    with running_cloud(
        tmp_path_factory.mktemp("cloud"),
        AUTH="jwt",
        JWT_SECRET=SECRET,
        POLICY_FILE="bucket_read_write_policy",
        ALLOWED_ORIGINS="https://app.example.com",
        CALLER_URLS_PER_MINUTE="0",
    ) as running:
        running.env.update(CALLBACK_URL=f"{running.url}/callback", CALLBACK_SECRET="s" * 32)
        yield running


def ask(
    url: str, method: str, path: str, query: Mapping[str, str], body: object = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Send a request over HTTP as a client does. Return the status and the JSON ({} without a
    body)."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310
        f"{url}{path}?{urlencode(query)}", data, headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    return status, json.loads(text) if text else {}


ALICE = {"access_token": login(exp=int(time.time()) + 24 * 3600)}


START = {"object": "film.mp4", "size": "12345678", "content_type": "video/mp4"}
SOUND: list[tuple[str, str, str, dict[str, str]]] = [
    ("/", "GET", "Token", {}),
    ("/", "POST", "Token", {"object": "a.jpg", "duration": "900"}),
    ("/sts", "GET", "Token", {}),
    ("/sts", "POST", "Token", {}),
    ("/signed-url", "GET", "SignedUrl", {"object": "a.jpg", "size": "3"}),
    ("/signed-url", "POST", "SignedUrl", {"name": "auto", "content_type": "image/png"}),
    ("/signed-url", "GET", "SignedUrl", {"object": "a.jpg", "method": "GET"}),
    ("/form", "GET", "Form", {}),
    ("/form", "POST", "Form", {"object": "a.jpg", "content_type": "image/png"}),
    ("/multipart", "POST", "MultipartStart", START),
    ("/uploads", "GET", "Uploads", {}),
    ("/uploads", "GET", "Uploads", {"details": "1", "limit": "1"}),
    ("/health", "GET", "Health", {}),
    ("/health", "POST", "Health", {}),
    *((route.path, "OPTIONS", "Preflight", {}) for route in ROUTES if "OPTIONS" in route.methods),
]


@pytest.mark.parametrize(
    ("path", "method", "schema", "wishes"), SOUND, ids=lambda one: str(one)[:24]
)
def test_what_a_route_answers_is_what_is_documented(
    cloud: RunningCloud, path: str, method: str, schema: str, wishes: dict[str, str]
) -> None:
    bucket = Token.of(cloud.answer(**ALICE)).oss2("v4")
    for number in range(2):
        bucket.put_object(f"uploads/alice/{number}.jpg", b"abc")
    status, answer = ask(cloud.url, method, path, {**ALICE, **wishes})
    assert faults(named(schema), answer) == []
    assert faults(answers(path, method, status)["application/json"]["schema"], answer) == []
    # If a member is added to the answer, or removed from it, the answer does not match the schema.
    assert faults(named(schema), {**answer, "More": 1})
    for name in SCHEMAS[schema]["required"]:
        assert faults(named(schema), {key: answer[key] for key in answer.keys() - {name}})


def test_the_sound_answers_are_of_each_route_and_method() -> None:
    tried = {(path, method) for path, method, *_ in SOUND}
    # Two cases are missing in SOUND: HEAD, because its answer has no body, and callbacks, which a
    # test below covers.
    assert tried == {(p, m) for p, m, _ in operations() if m != "HEAD" and p != "/callback"}


def test_head_answers_nothing_but_headers(cloud: RunningCloud) -> None:
    for path, method, _ in operations():
        if method == "HEAD":
            assert ask(cloud.url, method, path, ALICE) == (200, {})
            assert answers(path, method, 200) == {}


def test_each_step_of_an_upload_is_what_is_documented(cloud: RunningCloud) -> None:
    _, started = ask(cloud.url, "POST", "/multipart", ALICE, START)
    begun = {"Upload": started["Upload"], "upload_id": "0004B9894A22E5B1888A1E29F823"}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("MultipartParts", {"parts": [1, 3]}),
        *(("MultipartRequest", {"action": action}) for action in ("list", "complete", "abort")),
    ]
    for schema, step in steps:
        sent = {**begun, **step}
        assert faults(named("MultipartWishes"), sent) == []
        _, answer = ask(cloud.url, "POST", "/multipart", ALICE, sent)
        assert faults(named(schema), answer) == []
        assert faults(named("Multipart"), answer) == []


def test_a_callback_is_answered_as_documented(cloud: RunningCloud) -> None:
    token = cloud.answer(**ALICE)
    assert faults(named("Token"), token) == []
    scope = token["Scope"]
    headers = {"x-oss-callback": scope["Callback"], "x-oss-callback-var": scope["CallbackVar"]}
    stored = Token.of(token).oss2("v4").put_object("uploads/alice/b.txt", b"abc", headers)
    answer = json.loads(stored.resp.read())
    assert faults(named("VerifiedUpload"), answer) == []
    assert faults(named("VerifiedUpload"), {**answer, "More": 1})


REFUSED: list[tuple[str, str, str, dict[str, str]]] = [
    ("/", "GET", "InvalidParameter.Duration", {"duration": "1"}),
    ("/", "GET", "InvalidParameter.Method", {"method": "GET"}),
    ("/", "POST", "InvalidParameter.Object", {"object": "../x"}),
    ("/signed-url", "GET", "InvalidParameter.Object", {}),
    ("/signed-url", "GET", "InvalidParameter.XOssProcess", {"object": "a", "method": "GET"}),
    ("/form", "GET", "InvalidParameter.MaxBytes", {"max_bytes": "0"}),
    ("/multipart", "POST", "UploadRefused", {"Upload": "x"}),
    ("/uploads", "GET", "InvalidParameter.Marker", {"marker": "="}),
    ("/callback", "POST", "CallbackRefused", {}),
]


@pytest.mark.parametrize(
    ("path", "method", "code", "wishes"), REFUSED, ids=lambda one: str(one)[:28]
)
def test_a_refusal_is_what_is_documented(
    cloud: RunningCloud, path: str, method: str, code: str, wishes: dict[str, str]
) -> None:
    more = {"x-oss-process": "style/x"} if code.endswith("XOssProcess") else {}
    query = {} if path == "/callback" else ALICE
    status, answer = ask(cloud.url, method, path, {**query, **wishes, **more})
    assert answer["ErrorCode"] == code
    assert faults(answers(path, method, status)["application/json"]["schema"], answer) == []


OF_ANY_LOGIN: list[tuple[dict[str, str], str, dict[str, str]]] = [
    ({}, "MissingToken", {}),
    ({"access_token": "x"}, "InvalidToken", {}),
    ({"access_token": login(exp=1)}, "ExpiredToken", {}),
    (ALICE, "CallerDenied", {"DENIED_CALLERS": "alice"}),
    (ALICE, "RouteDisabled", {"ENABLED_ROUTES": "closed"}),
    (ALICE, "Misconfiguration", {"BUCKET_NAME": ""}),
    (ALICE, "KeysUnreachable", {"JWT_SECRET": "", "JWT_JWKS_URL": "http://127.0.0.1:9/"}),
]


@pytest.mark.parametrize(
    ("query", "code", "changes"), OF_ANY_LOGIN, ids=[code for _, code, _ in OF_ANY_LOGIN]
)
def test_what_any_route_with_a_login_refuses_is_documented(
    cloud: RunningCloud, query: dict[str, str], code: str, changes: dict[str, str]
) -> None:
    for route in ROUTES:
        if not route.needs_login:
            continue
        if "ENABLED_ROUTES" in changes:
            other = next(word for word in values.ROUTE_WORDS if word != route.word)
            changes = {"ENABLED_ROUTES": other}
        app = App({**cloud.env, **changes})
        method = "GET" if "GET" in route.methods else "POST"
        answer = json.loads(app.respond(partial(Request, method, route.path, query)).body)
        app.close()
        assert answer["ErrorCode"] == code
        for status in (200, answer["StatusCode"]):
            content = answers(route.path, method, status)["application/json"]
            assert faults(content["schema"], answer) == [], route.path


def test_all_faults_of_the_configuration_are_documented(cloud: RunningCloud) -> None:
    app = App({**cloud.env, "BUCKET_NAME": "", "ROLE_ARN": ""})
    answer = json.loads(app.respond(lambda: Request("GET", "/health")).body)
    app.close()
    assert len(answer["Faults"]) == 2
    assert faults(named("HealthError"), answer) == []


def test_a_preflight_that_is_refused_is_documented(cloud: RunningCloud) -> None:
    status, answer = ask(cloud.url, "OPTIONS", "/", {}, Origin="https://evil.example.com")
    assert answer["ErrorCode"] == "CorsRefused"
    assert faults(answers("/", "OPTIONS", status)["application/json"]["schema"], answer) == []


# The comparison itself


def test_an_error_of_another_route_or_status_is_not_documented() -> None:
    answer = SCHEMAS["error.UploadRefused"]["examples"][0]
    assert faults(named("MultipartError"), answer) == []
    assert faults(named("FormError"), answer)
    assert faults(named("MultipartError"), {**answer, "StatusCode": 500})
    assert faults(named("MultipartError"), {**answer, "More": 1})
