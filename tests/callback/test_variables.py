"""An app's own variables reach the back end. The function does not read its own fields from
these variables."""

from __future__ import annotations

import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oss_signer import OssSigner, about
from token_service.callback import verify as verifying
from token_service.callback.parameters import BODY, CallbackSettings, callback_parameters
from token_service.callback.public_keys import OssKeys
from token_service.callback.seals import CallbackRefused
from token_service.callback.variables import MAX_BYTES, MAX_VARIABLES, read, wished
from token_service.callback.verify import Callback, confirm
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.http.messages import Request
from token_service.oss_client import ObjectHead
from token_service.settings.addresses import Url
from token_service.settings.values import Endpoint
from tried import examples

NOW = 1_795_511_728
SECRETS = (b"s" * 32,)
SETTINGS = CallbackSettings(Url(Endpoint("https", "app.example.com", 443), "/callback"), None, None)
GRANT = Grant("my-bucket", "uploads/alice/", None, "bucket_write_policy", 900, "alice")
ETAG = "5D41402ABC4B2A76B9719D911017C592"
KEY = "uploads/alice/a.jpg"
OSS = OssSigner()
OURS = [field.partition("=")[0] for field in BODY.split("&")]


def keys() -> OssKeys:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("token_service.callback.public_keys.BUNDLED", OSS.pem.decode())
        return OssKeys(None)


KEYS = keys()


def signed(more: str) -> Request:
    """Return the request that OSS signs if a client added `more` at the end of our body."""
    made = callback_parameters(GRANT, NOW + 900, SETTINGS, SECRETS)
    sound = OSS.call(made.scope(), **about("my-bucket", KEY, ETAG, 5)).body.decode()
    return OSS.post("/callback", sound + more)


def accept(request: Request) -> Callback:
    return verifying.verify(request, SETTINGS, SECRETS, KEYS, now=NOW, end=time.monotonic())


def refusal(more: str) -> str:
    with pytest.raises(CallbackRefused) as caught:
        accept(signed(more))
    return caught.value.message


def test_own_variables_are_what_the_client_named() -> None:
    found = accept(signed("&order=7&x:colour=dark+red&note=&a.b_c-D=%E6%97%A5"))
    assert found.variables == {
        "order": "7",
        "colour": "dark red",
        "note": "",
        "a.b_c-D": "\u65e5",
    }
    assert found[:6] == ("alice", None, "my-bucket", KEY, ETAG, 5)


def test_without_any_nothing_has_changed() -> None:
    callback = accept(signed(""))
    assert callback.variables == {}
    upload = confirm(callback, ObjectHead(5, ETAG, "image/jpeg", "Tue"))
    assert "Variables" not in upload.members()


def test_they_have_no_say_in_the_id_of_an_upload() -> None:
    head = ObjectHead(5, ETAG, "image/jpeg", "Tue")
    plain, other = (confirm(accept(signed(more)), head) for more in ("", "&order=7"))
    assert other.members() == {**plain.members(), "Variables": {"order": "7"}}


def spellings(name: str) -> list[str]:
    """Return spellings of the name of one of our fields. Some parsers take a field with such
    a spelling for our field."""
    return [
        name,
        f"x:{name}",
        name.upper(),
        name.title(),
        f"x:{name.title()}",
        quote(name[0]) + f"%{ord(name[1]):02x}" + name[2:],
        "".join(f"%{ord(letter):02X}" for letter in name),
        f"+{name}",
        f"{name}+",
        f"{name}%00",
        f"{name}[]",
        f"{name}%5B0%5D",
        f"Variables[{name}]",
        f"x%3A{name}",
        f"X:{name}",
        quote(name.replace("e", "\uff45").replace("i", "\u0131").replace("u", "\uff55")),
    ]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("value", ["x", "", "uploads/bob/x"])
def test_no_own_variable_repeats_or_overrides_a_field_of_ours(name: str, value: str) -> None:
    for spelling in spellings(name):
        message = refusal(f"&{spelling}={value}")
        assert value == "" or value not in message.replace(name, "").replace("once", "")


@pytest.mark.parametrize("name", ["Id", "LegacyId", "Caller", "ContentType", "StatusCode"])
def test_no_own_variable_has_the_name_of_what_is_verified(name: str) -> None:
    for spelling in (name, f"x:{name}", name.lower(), name.upper(), f"x:{name.lower()}"):
        assert ": that name is reserved" in refusal(f"&{spelling}=bob")


@pytest.mark.parametrize(
    "field", ["Variables=1", "variables=%7B%22Caller%22%3A1%7D", "x:Variables=1", "VARIABLES=1"]
)
def test_variables_cannot_be_said_as_a_whole(field: str) -> None:
    assert refusal(f"&{field}").startswith("own variable ")


@pytest.mark.parametrize("more", ["&a=1&a=2", "&a=1&A=2", "&a=1&x:a=2", "&a=1&%61=1"])
def test_one_that_is_there_twice_is_refused_by_name(more: str) -> None:
    """Some parsers read the first value and others read the last one, so a repeated name is
    refused."""
    name = "A" if "A" in more else "a"
    assert refusal(more) == f"own variable 2, {name}: that name is reserved, or used twice"


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("=s3cret", "own variable 2: its name must be 1 to 32 characters (A-Za-z0-9._-)"),
        (f"{'n' * 33}=s3cret", "own variable 2: its name must be"),
        ("a%20b=s3cret", "own variable 2: its name must be"),
        ("%E6%97%A5=s3cret", "own variable 2: its name must be"),
        ("x:x:a=s3cret", "own variable 2: its name must be"),
        ("s3cret", "the body's field 10 is malformed"),
        ("a=s3cret%ff", "the body's field 10 is malformed"),
        ("", "the body's field 10 is malformed"),
        ("size=s3cret", "the body must have size once, but has it twice"),
        ("Seal=s3cret", "own variable 2, Seal: that name is reserved, or used twice"),
        (
            f"a=s3cret{'b' * MAX_BYTES}",
            "own variables: there must be at most 10, with 1024 bytes in all",
        ),
    ],
)
def test_a_refusal_says_which_field_and_not_its_value(field: str, says: str) -> None:
    message = refusal(f"&order=7&{field}")
    assert message.startswith(says)
    assert "s3cret" not in message


def test_the_limits_are_reached_and_not_passed() -> None:
    many = [(f"n{number}", "v") for number in range(MAX_VARIABLES)]
    assert len(read(many)) == MAX_VARIABLES
    body = "".join(f"&{name}={value}" for name, value in many)
    assert len(accept(signed(body)).variables) == MAX_VARIABLES
    assert (
        refusal(f"{body}&another=v")
        == "own variables: there must be at most 10, with 1024 bytes in all"
    )
    assert refusal(f"{body}&another=v&seal=x&&") == refusal(f"{body}&another=v")
    assert read([("n", "v" * (MAX_BYTES - 1))])
    with pytest.raises(CallbackRefused):
        read([("n", "v" * MAX_BYTES)])
    # The limit counts bytes, not characters.
    with pytest.raises(CallbackRefused):
        read([("n", "\u65e5" * (MAX_BYTES // 3 + 1))])


def test_thousands_are_refused_without_a_look_at_each() -> None:
    """An earlier version compared each name in a body of 16 KB with all names before it, which took
    half a second."""
    began = time.process_time()
    with pytest.raises(InvalidParameter, match="must be at most 10"):
        wished("&".join(f"{number:x}=" for number in range(3200)))
    assert time.process_time() - began < 0.1


def test_the_name_of_a_stranger_without_a_seal_is_not_in_the_message() -> None:
    """The message goes to the log, so the message must not contain text from a stranger."""
    request = signed("&bucket2=1&seal2=x")
    fields = request.body.decode().split("&")
    forged = "&".join(field for field in fields if not field.startswith("seal="))
    with pytest.raises(CallbackRefused, match="the seal was not made with CALLBACK_SECRET"):
        accept(OSS.post("/callback", f"{forged}&seal=stranger&Seal=1"))


PART = st.text(max_size=12) | st.sampled_from([*OURS, "Variables", "x:caller", "x:order", "order"])


@pytest.mark.tries("callbacks")
@examples(200)
@given(pairs=st.lists(st.tuples(PART, st.text(max_size=20)), max_size=12))
def test_whatever_a_client_adds_ours_stay_ours(pairs: list[tuple[str, str]]) -> None:
    more = "".join(f"&{quote_plus(n, errors='ignore')}={quote(v, safe='')}" for n, v in pairs)
    try:
        found = accept(signed(more))
    except CallbackRefused:
        return
    assert found[:9] == accept(signed(""))[:9]
    given_pairs = {name.removeprefix("x:"): value for name, value in pairs}
    assert found.variables == given_pairs
    assert not {name.lower() for name in found.variables} & {*OURS, "id", "caller", "variables"}


# The wish


def test_a_wish_is_added_as_constants_and_as_fields_of_a_form() -> None:
    assert wished("order=7&x:colour=dark+red&note=") == "&order=7&colour=dark%20red&note="
    assert wished("order=${x:order}") == "&order=${x:order}"
    assert wished("path=a/b%3Fc") == "&path=a%2Fb%3Fc"


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ("${bucket}", "%24%7Bbucket%7D"),
        ("${x:Order}", "%24%7Bx%3AOrder%7D"),
        ("${x:a}${x:b}", "%24%7Bx%3Aa%7D%24%7Bx%3Ab%7D"),
        ("$", "%24"),
        ("a%26bucket%3Db", "a%26bucket%3Db"),
    ],
)
def test_what_is_not_one_field_of_a_form_is_a_constant(value: str, made: str) -> None:
    assert wished(f"order={value}") == f"&order={made}"


@pytest.mark.parametrize(
    "text",
    ["bucket=x", "Seal=x", '{"order": 7}', "a=1&a=2", f"a={'b' * 2000}", "a=\ud800", "=", "a b=1"],
)
def test_a_wish_that_a_callback_would_be_refused_for_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        wished(text)
    assert caught.value.message.startswith("callback_variables: must be like order=7&color=red: ")
    assert caught.value.code == "InvalidParameter.CallbackVariables"


@pytest.mark.tries("callbacks")
@examples(200)
@given(text=st.text(max_size=40) | st.from_regex(r"[a-z]{1,5}=[^&;]{0,9}(&x:[A-Z]{1,3}=.?)?"))
def test_any_wish_is_refused_or_accepted_by_the_callback_too(text: str) -> None:
    try:
        more = wished(text)
    except InvalidParameter:
        return
    if "${" not in more:
        found = accept(signed(more)).variables
        assert len(found) == more.count("&")
