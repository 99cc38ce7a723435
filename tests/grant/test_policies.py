"""Templates and their rendered policies: escaping, strictness, size. test_isolation.py checks what
a policy allows, with the sandbox's evaluator."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.package import POLICIES as POLICY_FILES
from ops.policies_described import names, offered
from token_service.errors import Misconfiguration, PolicyError
from token_service.grant import policies
from token_service.grant.grants import Grant
from token_service.grant.policies import MAX_CHARACTERS, READY, Policies
from tried import examples

BUNDLED = names()
PREFIX = Grant("my-bucket", "uploads/", None, "bucket_read_write_policy", 900, "anonymous")

WRITE = ["oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"]


def rendered(grant: Grant) -> dict[str, list[dict[str, object]]]:
    policy: dict[str, list[dict[str, object]]] = json.loads(Policies(BUNDLED).render(grant))
    return policy


def own(folder: Path, text: str) -> Policies:
    path = folder / "own.json.j2"
    path.write_text(text, encoding="utf-8")
    return Policies([str(path)])


def is_ready(policies: Policies) -> bool:
    """Return whether the only template of `policies` is rendered without Jinja2."""
    return isinstance(next(iter(policies._templates.values())), partial)


def render_own(policies: Policies, object_key: str | None = None) -> str:
    """Render the only template of `policies`."""
    name = next(iter(policies._templates))
    return policies.render(PREFIX._replace(policy=name, object_key=object_key))


def test_the_write_policy_can_put_resume_and_abort_and_nothing_else() -> None:
    """The sample apps need all of these actions."""
    assert rendered(PREFIX._replace(policy="bucket_write_policy"))["Statement"] == [
        {
            "Effect": "Allow",
            "Action": WRITE,
            "Resource": ["acs:oss:*:*:my-bucket/uploads/*"],
        }
    ]


def test_the_read_policy_lists_only_under_the_prefix() -> None:
    get, list_objects = rendered(PREFIX._replace(policy="bucket_read_policy"))["Statement"]
    assert get["Action"] == ["oss:GetObject"]
    assert get["Resource"] == ["acs:oss:*:*:my-bucket/uploads/*"]
    assert list_objects == {
        "Effect": "Allow",
        "Action": ["oss:ListObjects"],
        "Resource": ["acs:oss:*:*:my-bucket"],
        "Condition": {"StringLike": {"oss:Prefix": ["uploads/*"]}},
    }


def test_the_read_write_policy_is_both() -> None:
    objects, list_objects = rendered(PREFIX)["Statement"]
    assert objects["Action"] == [*WRITE, "oss:GetObject"]
    assert list_objects["Action"] == ["oss:ListObjects"]


def test_the_all_policy_is_bounded_by_the_role_alone() -> None:
    (statement,) = rendered(PREFIX._replace(policy="all_policy"))["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["oss:*"], ["acs:oss:*:*:*"])


@pytest.mark.parametrize("name", offered())
def test_a_grant_of_one_object_opens_that_key_and_lists_nothing(name: str) -> None:
    grant = PREFIX._replace(policy=name, object_key="uploads/a.jpg")
    statements = rendered(grant)["Statement"]
    assert {"Allow"} == {statement["Effect"] for statement in statements}
    for statement in statements:
        assert statement["Resource"] == ["acs:oss:*:*:my-bucket/uploads/a.jpg"]


@pytest.mark.parametrize("name", BUNDLED)
def test_no_bundled_policy_shows_other_uploads(name: str) -> None:
    text = Policies(BUNDLED).render(PREFIX._replace(policy=name))
    assert "ListMultipartUploads" not in text


def test_rendering_is_compact() -> None:
    text = Policies(BUNDLED).render(PREFIX)
    assert text == json.dumps(json.loads(text), separators=(",", ":"))


def test_a_quote_cannot_leave_its_string() -> None:
    prefix = 'a"]},{"Effect":"Allow","Action":["oss:DeleteBucket"],"Resource":["x/'
    objects, _ = rendered(PREFIX._replace(prefix=prefix))["Statement"]
    assert objects["Resource"] == [f"acs:oss:*:*:my-bucket/{prefix}*"]


def test_a_template_in_a_value_is_text() -> None:
    objects, _ = rendered(PREFIX._replace(prefix="{{ bucket }}{% raw %}/"))["Statement"]
    assert objects["Resource"] == ["acs:oss:*:*:my-bucket/{{ bucket }}{% raw %}/*"]


@pytest.mark.parametrize("prefix", ["*/", "b?b/", "${acs:user}/", "", "/", "a/../b/", "a\n/"])
def test_a_wildcard_or_dot_segment_is_refused_here_too(prefix: str) -> None:
    with pytest.raises(PolicyError):
        rendered(PREFIX._replace(prefix=prefix))


def test_an_operators_own_template_is_rendered_by_the_same_rules(tmp_path: Path) -> None:
    policies = own(
        tmp_path,
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:DeleteObject",'
        ' "Resource": "acs:oss:*:*:{{ bucket }}/{{ keys }}"}]}',
    )
    assert json.loads(render_own(policies))["Statement"][0] == {
        "Effect": "Allow",
        "Action": "oss:DeleteObject",
        "Resource": "acs:oss:*:*:my-bucket/uploads/*",
    }


HOSTILE_PREFIXES = (
    'a"]},{"Effect":"Allow","Action":["oss:DeleteBucket"],"Resource":["x/',
    "a\\",
    'a\\"/',
    "{{ bucket }}{% raw %}/",
    "%(bucket)s/",
    "\u7167\u2027/",
)


@pytest.mark.parametrize("prefix", HOSTILE_PREFIXES)
@pytest.mark.parametrize("object_key", [None, "name"])
def test_no_value_leaves_its_string_in_an_operators_own_template(
    tmp_path: Path, prefix: str, object_key: str | None
) -> None:
    """Jinja2 renders these templates. Bundled templates are rendered in advance, and do not need
    Jinja2."""
    policies = own(
        tmp_path,
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:PutObject",'
        ' "Resource": "acs:oss:*:*:{{ bucket }}/{{ keys }}"}]}',
    )
    assert not is_ready(policies)
    name = next(iter(policies._templates))
    key = None if object_key is None else prefix + object_key
    text = policies.render(PREFIX._replace(policy=name, prefix=prefix, object_key=key))
    keys = f"{prefix}*" if key is None else key
    assert json.loads(text)["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "oss:PutObject",
            "Resource": f"acs:oss:*:*:my-bucket/{keys}",
        }
    ]


def test_a_template_that_prints_the_prefix_is_not_taken_for_one_object(tmp_path: Path) -> None:
    policies = own(tmp_path, '{"Version": "1", "Statement": ["{{ prefix }}*"]}')
    render_own(policies)
    with pytest.raises(PolicyError, match="'prefix' is undefined"):
        render_own(policies, object_key="uploads/a.jpg")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ bukket }}", "'bukket' is undefined"),
        ("{{ 5 }}", "may print text only, not int: 5"),
        ("{{ [bucket] }}", "may print text only, not list"),
        ("{{ none }}", "may print text only"),
        ("not JSON", "does not render to JSON"),
        ("[" * 100_000, "does not render to JSON"),
        ("{{ 1 / 0 }}", "own.json.j2: ZeroDivisionError"),
        ("{{ bucket.index('zzz') }}", "own.json.j2: ValueError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "own.json.j2: RecursionError"),
        ("[]", '"Version": "1" and a Statement'),
        ('{"Version": "1", "Statement": []}', '"Version": "1" and a Statement'),
        ('{"Version": 1, "Statement": [{}]}', '"Version": "1" and a Statement'),
        ('{"Version": "1", "Statement": ["' + "x" * 2100 + '"]}', "STS accepts at most 2048"),
    ],
)
def test_a_template_that_renders_wrong_says_how(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        render_own(own(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("{{ bukket }}", "template own.json.j2: 'bukket'"),
        ("{{ 5 }}", "template own.json.j2: a template may"),
        ("{{ 1 / 0 }}", "template own.json.j2: ZeroDivisionError: "),
    ],
)
def test_the_kind_of_an_error_is_said_where_its_text_alone_does_not_tell(
    tmp_path: Path, text: str, begins: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        render_own(own(tmp_path, text))
    assert caught.value.message.startswith(begins)


def test_a_template_with_a_syntax_error_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(Misconfiguration, match=r"POLICY_FILE: own.json.j2, line 3: "):
        own(tmp_path, "{\n\n{% if %}\n}")


def test_a_missing_template_names_those_that_are_there() -> None:
    with pytest.raises(Misconfiguration, match=r"^POLICY_FILE: .*bucket_write_policy") as caught:
        Policies(["nothing_like_it"])
    assert ", ".join(sorted(BUNDLED)) in caught.value.message
    assert "nothing_like_it.json.j2" in caught.value.message
    with pytest.raises(Misconfiguration, match=r"^POLICY_CHOICES: "):
        Policies(["all_policy", "/nowhere/own.json.j2"])


def test_a_template_that_is_not_text_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "own.j2").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Misconfiguration, match=r"own\.j2 must be UTF-8") as caught:
        Policies([str(tmp_path / "own.j2")])
    assert caught.value.variable == "POLICY_FILE"
    with pytest.raises(Misconfiguration) as caught:
        Policies(["all_policy", str(tmp_path / "own.j2")])
    assert caught.value.variable == "POLICY_CHOICES"


def test_a_template_that_was_changed_is_not_taken_from_what_lies_ready(tmp_path: Path) -> None:
    bundled = (POLICY_FILES / "bucket_write_policy.json.j2").read_text(encoding="utf-8")
    same = own(tmp_path, bundled)
    assert is_ready(same)
    changed = own(tmp_path, bundled.replace('"oss:ListParts", ', ""))
    assert not is_ready(changed)
    actions = [json.loads(render_own(one))["Statement"][0]["Action"] for one in (same, changed)]
    assert actions == [WRITE, ["oss:PutObject", "oss:AbortMultipartUpload"]]


@pytest.mark.parametrize("content", [None, "", "[", "\ud800"])
def test_without_what_lies_ready_jinja2_renders_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    shutil.copytree(POLICY_FILES, tmp_path, dirs_exist_ok=True)
    (tmp_path / READY).unlink()
    if content is not None:
        (tmp_path / READY).write_bytes(content.encode("utf-8", "surrogatepass"))
    ready = Policies([PREFIX.policy])
    monkeypatch.setattr(policies, "_BUNDLED", str(tmp_path))
    compiled = Policies([PREFIX.policy])
    assert not is_ready(compiled)
    for grant in (PREFIX, PREFIX._replace(object_key="uploads/a.jpg")):
        assert compiled.render(grant) == ready.render(grant)


def of_length(folder: Path, length: int) -> Policies:
    """Return Policies with one template that renders to a policy of `length` characters."""
    around = len('{"Version":"1","Statement":[""]}')
    return own(folder, '{"Version": "1", "Statement": ["' + "x" * (length - around) + '"]}')


def test_a_policy_may_have_2048_characters_and_not_one_more(tmp_path: Path) -> None:
    """2,048 characters is STS's limit (vendor documentation of AssumeRole)."""
    assert MAX_CHARACTERS == 2048
    assert len(render_own(of_length(tmp_path, 2048))) == 2048
    with pytest.raises(PolicyError, match=r"own\.json\.j2 .*2049"):
        render_own(of_length(tmp_path, 2049))


def test_a_character_beyond_ascii_counts_as_one(tmp_path: Path) -> None:
    """Written as \\uXXXX, the character would count as six of the 2,048 characters, and a long name
    would be refused."""
    name = "uploads/" + "\u7167" * 300
    text = render_own(own(tmp_path, '{"Version": "1", "Statement": ["{{ keys }}"]}'), name)
    assert text == f'{{"Version":"1","Statement":["{name}"]}}'
    # U+7167 counts as one character in the message about a policy that is too long, too.
    bundled = rendered(PREFIX._replace(policy="bucket_write_policy", object_key=name))
    assert bundled["Statement"][0]["Resource"] == [f"acs:oss:*:*:my-bucket/{name}"]
    long = own(tmp_path, '{"Version": "1", "Statement": ["' + "\u7167" * 2100 + '"]}')
    with pytest.raises(PolicyError, match=str(2100 + len('{"Version":"1","Statement":[""]}'))):
        render_own(long)


def test_a_template_is_found_from_the_folder_above_policies_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path like `policies/own.txt` means the same file in the package and in a checkout."""
    monkeypatch.chdir(tmp_path)
    by_path = Policies(["policies/bucket_write_policy.json.j2"])
    name = next(iter(by_path._templates))
    assert by_path.render(PREFIX._replace(policy=name)) == Policies(["bucket_write_policy"]).render(
        PREFIX._replace(policy="bucket_write_policy")
    )
    # If the working directory has a file at this path, that file is used, not the bundled one.
    (tmp_path / "policies").mkdir()
    mine = tmp_path / "policies" / "bucket_write_policy.json.j2"
    mine.write_text('{"Version": "1", "Statement": ["{{ keys }}"]}')
    assert render_own(Policies(["policies/bucket_write_policy.json.j2"])) == (
        '{"Version":"1","Statement":["uploads/*"]}'
    )


def test_templates_are_read_as_utf_8_whatever_the_platform_would_read_them_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def recorded(path: str, encoding: str | None = None) -> object:
        read.append((Path(path).name, encoding and encoding.lower()))
        return open(path, encoding=encoding)  # noqa: PTH123 - the caller closes it

    monkeypatch.setattr(policies, "open", recorded, raising=False)
    own(tmp_path, '{"Version": "1", "Statement": ["{{ keys }}"]}')
    assert read == [(READY, "utf-8"), ("own.json.j2", "utf-8")]


def test_what_was_rendered_is_kept_and_not_without_end() -> None:
    made = Policies(["bucket_write_policy"])
    grant = PREFIX._replace(policy="bucket_write_policy")
    assert made.render(grant) is made.render(grant)
    kept = made._cached.cache_info()
    assert (kept.hits, kept.misses, kept.maxsize) == (1, 1, 256)


VENDORS = (
    '{"Statement":[{"Action":["oss:PutObject"],"Effect":"Allow",'
    '"Resource":["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"]}],"Version":"1"}'
)


def vendors(folder: Path, text: str, name: str = "bucket_write_policy.txt") -> Policies:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return Policies([str(path)])


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_txt_file_is_the_vendors(tmp_path: Path, mark: str) -> None:
    policies = vendors(tmp_path, mark + VENDORS)
    opened = VENDORS.replace("$BUCKET_NAME/$OBJECT_PREFIX", "my-bucket/uploads/")
    assert json.loads(render_own(policies)) == json.loads(opened)
    one = json.loads(render_own(policies, object_key="uploads/a.jpg"))
    assert one["Statement"][0]["Resource"] == ["acs:oss:*:*:my-bucket/uploads/a.jpg"]


def test_a_txt_file_that_opens_too_much_names_the_variable(tmp_path: Path) -> None:
    whole = VENDORS.replace("$OBJECT_PREFIX", "")
    with pytest.raises(Misconfiguration, match=r"^POLICY_FILE: bucket_write_policy\.txt: state"):
        vendors(tmp_path, whole)
    with pytest.raises(Misconfiguration, match=r"^POLICY_CHOICES: bucket_write_policy\.txt: state"):
        Policies(["bucket_write_policy", str(tmp_path / "bucket_write_policy.txt")])


def test_a_txt_file_is_held_to_the_rules_of_templates(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="STS accepts at most 2048"):
        render_own(vendors(tmp_path, VENDORS.replace("oss:PutObject", "oss:" + "x" * 2048)))
    policies = vendors(tmp_path, VENDORS)
    for prefix in ("*/", "${acs:user}/", "a/../b/"):
        with pytest.raises(PolicyError, match="the object key or prefix must not"):
            policies.render(PREFIX._replace(policy=next(iter(policies._templates)), prefix=prefix))


def test_a_txt_file_is_no_template(tmp_path: Path) -> None:
    text = VENDORS.replace("$BUCKET_NAME/$OBJECT_PREFIX*", "{{ bucket }}/{{ keys }}")
    with pytest.raises(Misconfiguration, match="opens more than the caller's prefix"):
        vendors(tmp_path, text)


HOSTILE = st.text(
    alphabet=st.sampled_from('ab/\\"*?${}%[]:,.\u2028\ud800\x00\n\u7167'), max_size=40
)


@pytest.mark.tries("policies")
@examples(100)
@given(st.text(max_size=60) | HOSTILE, st.text(max_size=60) | HOSTILE, st.sampled_from(offered()))
def test_no_value_escapes_its_string_or_brings_a_wildcard(
    prefix: str, name: str, policy: str
) -> None:
    whole = PREFIX._replace(policy=policy, prefix=prefix)
    plain = json.loads(POLICIES.render(whole._replace(prefix="P/")))
    for grant, keys in ((whole, f"{prefix}*"), (whole._replace(object_key=name), name)):
        try:
            text = POLICIES.render(grant)
        except PolicyError:
            continue
        assert len(text) <= MAX_CHARACTERS
        statements = json.loads(text)["Statement"]
        # Whatever the values are, a statement keeps the members and actions of the template.
        for statement, expected in zip(statements, plain["Statement"], strict=False):
            assert statement.keys() == expected.keys()
            assert statement["Action"] == expected["Action"]
        assert statements[0]["Resource"] == [f"acs:oss:*:*:my-bucket/{keys}"]
        assert not set(keys.removesuffix("*")) & set("*?$")


POLICIES = Policies(BUNDLED)
