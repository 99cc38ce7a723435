"""Tests how hosts of OSS are read, which hosts are refused, and which variable accepts which
hosts."""

from __future__ import annotations

import re
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service import faults
from token_service.errors import Misconfiguration
from token_service.settings.oss_hosts import bucket_address
from token_service.settings.reading import Settings, read_settings
from token_service.settings.values import Endpoint

Env = dict[str, str]

REGIONS = ("cn-hangzhou", "cn-beijing", "ap-southeast-1", "us-west-1", "cn-hongkong", "me-east-1")
NO_HOST = "is not a host of OSS; must be"
OTHER_BUCKET = "begins with a bucket other than BUCKET_NAME"
INTERNAL = r"is an internal host, which phones cannot reach \(set OSS_INTERNAL_ENDPOINT to it\)"
OTHER_REGION = r"is not a host of the bucket's region \(OSS_REGION\)"


def url(settings: Settings) -> str:
    """Return the URL to which clients send an object, without its key."""
    address, path = bucket_address(settings.oss_endpoint, settings.bucket)
    return f"{address}{path}"


# What is understood


@pytest.mark.parametrize(
    ("endpoint", "url_of_bucket", "is_cname"),
    [
        ("", "https://my-bucket.oss-cn-hangzhou.aliyuncs.com/", False),
        ("OSS-cn-Hangzhou.AliyunCS.com", "https://my-bucket.oss-cn-hangzhou.aliyuncs.com/", False),
        ("oss-accelerate.aliyuncs.com", "https://my-bucket.oss-accelerate.aliyuncs.com/", False),
        (
            "oss-accelerate-overseas.aliyuncs.com",
            "https://my-bucket.oss-accelerate-overseas.aliyuncs.com/",
            False,
        ),
        ("cn-hangzhou.oss.aliyuncs.com", "https://my-bucket.cn-hangzhou.oss.aliyuncs.com/", False),
        ("http://127.0.0.1:7081", "http://127.0.0.1:7081/my-bucket/", False),
        ("http://10.0.2.2:7081", "http://10.0.2.2:7081/my-bucket/", False),
        ("http://localhost:7081", "http://localhost:7081/my-bucket/", False),
        ("http://[::1]:7081", "http://[::1]:7081/my-bucket/", False),
        ("https://files.example.com", "https://files.example.com/", True),
        ("files.example.com", "https://files.example.com/", True),
        ("https://oss.notaliyuncs.com:8443", "https://oss.notaliyuncs.com:8443/", True),
        ("xn--fsqu00a.xn--0zwm56d", "https://xn--fsqu00a.xn--0zwm56d/", True),
        ("http://files.localhost:7081", "http://files.localhost:7081/", True),
        ("http://a.b.localhost", "http://a.b.localhost/", True),
    ],
)
def test_where_the_bucket_is_follows_from_the_host(
    env: Env, endpoint: str, url_of_bucket: str, is_cname: bool
) -> None:
    settings = read_settings({**env, "OSS_ENDPOINT": endpoint})
    assert url(settings) == url_of_bucket
    assert settings.is_cname is is_cname


@pytest.mark.parametrize("variable", ["OSS_ENDPOINT", "OSS_INTERNAL_ENDPOINT"])
@pytest.mark.parametrize(
    ("bucket", "host", "endpoint"),
    [
        ("my-bucket", "my-bucket.oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou.aliyuncs.com"),
        ("my-bucket", "my-bucket.oss-accelerate.aliyuncs.com", "oss-accelerate.aliyuncs.com"),
        ("my-bucket", "my-bucket.cn-hangzhou.oss.aliyuncs.com", "cn-hangzhou.oss.aliyuncs.com"),
        # A bucket may have the same name as a region, or as a region's host.
        ("cn-hangzhou", "cn-hangzhou.oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou.aliyuncs.com"),
        ("cn-hangzhou", "cn-hangzhou.oss.aliyuncs.com", "cn-hangzhou.oss.aliyuncs.com"),
        (
            "oss-cn-hangzhou",
            "oss-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com",
            "oss-cn-hangzhou.aliyuncs.com",
        ),
        ("oss-cn-hangzhou", "oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou.aliyuncs.com"),
    ],
)
def test_the_buckets_own_host_is_understood(
    env: Env, variable: str, bucket: str, host: str, endpoint: str
) -> None:
    """The console shows this host as the bucket's domain (finding F2)."""
    settings = read_settings({**env, "BUCKET_NAME": bucket, variable: f"https://{host}"})
    read = {"OSS_ENDPOINT": settings.oss_endpoint}.get(variable, settings.oss_internal_endpoint)
    assert str(read) == f"https://{endpoint}"
    assert bucket_address(read, bucket) == (Endpoint("https", f"{bucket}.{endpoint}", 443), "/")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-hangzhou-finance", "oss-cn-hzfinance"),
        ("cn-shanghai-finance-1", "oss-cn-shanghai-finance-1-pub"),
        ("cn-shenzhen-finance-1", "oss-cn-szfinance"),
        ("cn-beijing-finance-1", "oss-cn-beijing-finance-1-pub"),
        ("cn-north-2-gov-1", "oss-cn-north-2-gov-1"),
        ("rg-china-mainland", "oss-rg-china-mainland"),
    ],
)
def test_finance_and_government_regions_have_the_hosts_that_the_vendor_lists(
    env: Env, region: str, host: str
) -> None:
    env["OSS_REGION"] = region
    assert str(read_settings(env).oss_endpoint) == f"https://{host}.aliyuncs.com"
    given = read_settings({**env, "OSS_ENDPOINT": f"my-bucket.{host}.aliyuncs.com"})
    assert given.oss_endpoint == read_settings(env).oss_endpoint
    here = read_settings({**env, "FC_REGION": region})
    assert str(here.oss_internal_endpoint) == f"https://{host}-internal.aliyuncs.com"


HOSTS_OF_FINANCE = [
    # The vendor's table: a region, its hosts for clients, and its hosts for the function.
    (
        "cn-hangzhou-finance",
        "oss-cn-hzfinance cn-hangzhou-finance.oss",
        "oss-cn-hzjbp-a-internal oss-cn-hzjbp-b-internal oss-cn-hzfinance-internal",
    ),
    (
        "cn-shanghai-finance-1",
        "oss-cn-shanghai-finance-1-pub cn-shanghai-finance.oss",
        "oss-cn-shanghai-finance-1-internal oss-cn-shanghai-finance-1-pub-internal",
    ),
    (
        "cn-shenzhen-finance-1",
        "oss-cn-szfinance cn-shenzhen-finance.oss",
        "oss-cn-shenzhen-finance-1-internal oss-cn-szfinance-internal",
    ),
    (
        "cn-beijing-finance-1",
        "oss-cn-beijing-finance-1-pub",
        "oss-cn-beijing-finance-1-internal oss-cn-beijing-finance-1-pub-internal",
    ),
]


@pytest.mark.parametrize(
    ("region", "of_clients", "of_functions"), HOSTS_OF_FINANCE, ids=lambda text: text.split()[0]
)
def test_a_finance_region_has_the_hosts_of_the_vendors_table_and_no_others(
    env: Env, region: str, of_clients: str, of_functions: str
) -> None:
    env["OSS_REGION"] = region
    every = {
        name
        for _, *both in HOSTS_OF_FINANCE
        for names in both
        for name in names.split()
        # The following hosts belong to no region in the table.
    } | {"oss-cn-hzjbp", "oss-cn-hzjbp-a", "oss-cn-hangzhou-finance-internal", "oss-cn-hzjbp-c"}
    every |= {f"{row[0]}.oss" for row in HOSTS_OF_FINANCE}
    taken: dict[str, set[str]] = {"OSS_ENDPOINT": set(), "OSS_INTERNAL_ENDPOINT": set()}
    for variable, names in taken.items():
        for name in every:
            try:
                read_settings({**env, variable: f"{name}.aliyuncs.com"})
            except Misconfiguration:
                continue
            names.add(name)
    assert taken["OSS_ENDPOINT"] == set(of_clients.split())
    assert taken["OSS_INTERNAL_ENDPOINT"] == {*of_clients.split(), *of_functions.split()}


# What is refused, by name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("oss-cn-hangzhou", NO_HOST),
        ("https://oss-cn-hangzhou:8443", NO_HOST),
        ("my-bucket", NO_HOST),
        ("evil-oss-cn-hangzhou.aliyuncs.com", NO_HOST),
        ("sts.cn-hangzhou.aliyuncs.com", NO_HOST),
        ("oss.aliyuncs.com", NO_HOST),
        ("aliyuncs.com", NO_HOST),
        ("a.my-bucket.oss-cn-hangzhou.aliyuncs.com", NO_HOST),
        ("oss-cn-hangzhou.x.aliyuncs.com", NO_HOST),
        # Hosts that only look like hosts of OSS.
        ("oss-cn-hangzhou.aliyuncs.co", NO_HOST),
        ("oss-cn-hangzhou.aliyuncs.com.cn", NO_HOST),
        ("oss-cn-hangzhou.aliyun.com", NO_HOST),
        ("oss-cn-hangzhou.alyuncs.com", NO_HOST),
        ("my-bucket.oss-ap-southeast-1-internal.alyuncs.com", NO_HOST),
        ("oss-us-west-1.example.com", NO_HOST),
        ("aliyuncs.example.com", NO_HOST),
        ("my-bucket.oss-cn-hangzhou.aliyuncs.com.evil.example", NO_HOST),
        # Addresses that are not a sandbox's.
        ("8.8.8.8", NO_HOST),
        ("169.254.169.254", NO_HOST),
        ("100.118.28.49", NO_HOST),
        ("172.32.0.1", NO_HOST),
        ("0.0.0.1", NO_HOST),
        ("127.0.0.256", NO_HOST),
        ("10.0.0.01", NO_HOST),
        ("127.1", NO_HOST),
        ("1.2.3.4.5", NO_HOST),
        ("999.999.999.999", NO_HOST),
        ("1", NO_HOST),
        ("2130706433", NO_HOST),
        ("0x7f.1", NO_HOST),
        ("0x7f.0.0.0x1", NO_HOST),
        ("vpc100-oss-cn-hangzhou.aliyuncs.com", INTERNAL),
        ("cn-hangzhou-internal.oss.aliyuncs.com", OTHER_REGION),
        ("oss-cn-hangzhou.aliyuncs.com.evil.aliyuncs.com", NO_HOST),
        ("my-bucket.oss-cn-hangzhou.aliyuncs.com.aliyuncs.com", NO_HOST),
        ("other.oss-cn-hangzhou.aliyuncs.com", OTHER_BUCKET),
        ("my-bucket2.oss-cn-hangzhou.aliyuncs.com", OTHER_BUCKET),
        ("oss-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com", OTHER_BUCKET),
        ("s3.oss-cn-hangzhou.aliyuncs.com", OTHER_BUCKET),
        ("oss-cn-hangzhou-internal.aliyuncs.com", INTERNAL),
        ("my-bucket.oss-cn-hangzhou-internal.aliyuncs.com", INTERNAL),
        ("oss-cn-beijing-internal.aliyuncs.com", INTERNAL),
        ("ep-bp1.oss.cn-hangzhou.privatelink.aliyuncs.com", INTERNAL),
        ("oss-cn-beijing.aliyuncs.com", OTHER_REGION),
        ("my-bucket.oss-cn-beijing.aliyuncs.com", OTHER_REGION),
        ("cn-beijing.oss.aliyuncs.com", OTHER_REGION),
        ("my-bucket.oss.aliyuncs.com", OTHER_REGION),
        ("oss-cn-hzfinance.aliyuncs.com", OTHER_REGION),
        ("oss-cn-north-2-gov-1.aliyuncs.com", OTHER_REGION),
    ],
)
def test_what_no_client_could_use_is_refused(env: Env, value: str, message: str) -> None:
    env["OSS_ENDPOINT"] = value
    with pytest.raises(Misconfiguration, match=f"^OSS_ENDPOINT: {message}") as caught:
        read_settings(env)
    text = caught.value.message
    accepts = "an acceleration host, or a domain of your own that is bound to the bucket"
    assert text.endswith(f"; must be oss-cn-hangzhou.aliyuncs.com, {accepts}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("oss-cn-hangzhou-internal", NO_HOST),
        ("evil-oss-cn-hangzhou-internal.aliyuncs.com", NO_HOST),
        ("other.oss-cn-hangzhou-internal.aliyuncs.com", OTHER_BUCKET),
        ("oss-cn-beijing-internal.aliyuncs.com", OTHER_REGION),
        ("vpc100-oss-cn-beijing.aliyuncs.com", OTHER_REGION),
        ("oss-accelerate-internal.aliyuncs.com", OTHER_REGION),
        ("vpc100-oss-accelerate.aliyuncs.com", OTHER_REGION),
        ("oss-cn-hangzhou-internal-internal.aliyuncs.com", OTHER_REGION),
        ("8.8.8.8", NO_HOST),
        ("oss-cn-hangzhou-internal.aliyuncs.com.cn", NO_HOST),
        ("ep-bp1.oss.cn-beijing.privatelink.aliyuncs.com", OTHER_REGION),
    ],
)
def test_where_the_function_finds_oss_is_judged_too(env: Env, value: str, message: str) -> None:
    env["OSS_INTERNAL_ENDPOINT"] = value
    with pytest.raises(Misconfiguration, match=f"^OSS_INTERNAL_ENDPOINT: {message}") as caught:
        read_settings(env)
    assert "must be oss-cn-hangzhou-internal.aliyuncs.com, oss-cn" in caught.value.message


@pytest.mark.parametrize("host", ["oss-cn-shenzhen-finance-1", "oss-cn-hangzhou", "oss-cn-hzjbp-a"])
def test_a_finance_regions_internal_host_is_not_its_public_one(env: Env, host: str) -> None:
    env.update(OSS_REGION="cn-shenzhen-finance-1", OSS_ENDPOINT=f"{host}.aliyuncs.com")
    with pytest.raises(Misconfiguration, match=f"{OTHER_REGION}; must be oss-cn-szfinance.aliyun"):
        read_settings(env)


@pytest.mark.parametrize(
    "value",
    [
        "https://user@files.example.com",
        "https://user:pw@oss-cn-hangzhou.aliyuncs.com",
        "https://my-bucket@oss-cn-hangzhou.aliyuncs.com",
        "oss-cn-hangzhou.aliyuncs.com:443x",
        "oss-cn-hangzhou.aliyuncs.com:0",
        "oss-cn-hangzhou.aliyuncs.com:99999",
        "oss-cn-hangzhou.aliyuncs.com.",
        "files.example.com.",
        "-files.example.com",
        "files..example.com",
        "https://files.example.com/my-bucket",
        "https://files.example.com?x",
        "https://files.example.com#x",
        "https://files.example.com\\@evil.example",
        "b\u00fccher.example",
        "files\u3002example.com",
        "files.\u2028example.com",
        "[fd00::1]",
        "[::1%25lo]",
        "https://[::1].example.com",
        "*.example.com",
        "files_1.example.com",
        "http://files.example.com",
        "http://localhost.example.com",
        "http://oss-cn-hangzhou.aliyuncs.com",
        "http://127.0.0.1.localhost.evil.example",
        "http://8.8.8.8",
        "http://10.0.0.256",
        "http://x.notlocalhost",
        "http://notlocalhost",
    ],
)
def test_what_is_no_plain_host_is_refused_before_it_is_judged(env: Env, value: str) -> None:
    for variable in ("OSS_ENDPOINT", "OSS_INTERNAL_ENDPOINT"):
        with pytest.raises(Misconfiguration, match=f"^{variable}: must be a host name or https://"):
            read_settings({**env, variable: value})


@pytest.mark.parametrize(
    "host",
    [
        "evil-aliyuncs.com",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "oss-files.example.com",
        "oss-eu-files.example.com",
        "oss.example.com",
        "files.example.c0m",
    ],
)
def test_what_has_only_a_part_of_such_a_name_is_another_domain(env: Env, host: str) -> None:
    settings = read_settings({**env, "OSS_ENDPOINT": host})
    assert settings.is_cname
    assert url(settings) == f"https://{host}/"


@given(st.from_regex(r"[a-z0-9.:@\[\]\-]{1,40}(\.aliyuncs\.com|\.localhost|)", fullmatch=True))
def test_whatever_is_taken_leads_to_the_bucket_and_nothing_else(host: str) -> None:
    """An accepted host is OSS's host of this region, a custom domain, or an address."""
    env = {
        "AUTH": "anonymous",
        "ROLE_ARN": "acs:ram::1234567890123456:role/upload",
        "BUCKET_NAME": "my-bucket",
        "OSS_REGION": "cn-hangzhou",
        "OSS_ENDPOINT": host,
    }
    try:
        settings = read_settings(env)
    except Misconfiguration:
        return
    address, path = bucket_address(settings.oss_endpoint, settings.bucket)
    if address.host.endswith(".aliyuncs.com"):
        assert not settings.is_cname
        assert re.fullmatch(
            r"my-bucket\.(oss-(cn-hangzhou|accelerate(-overseas)?)|cn-hangzhou\.oss)\.aliyuncs\.com",
            address.host,
        )
    elif settings.is_cname:
        assert "." in address.host
        assert (address, path) == (settings.oss_endpoint, "/")
    else:
        assert path == "/my-bucket/"
        assert address.host == "localhost" or ip_address(address.host).is_private


@given(
    st.sampled_from(REGIONS),
    st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", fullmatch=True) | st.sampled_from(REGIONS),
    st.sampled_from(["oss-{}", "oss-{}-internal", "{}.oss"]),
)
def test_the_bucket_in_front_changes_nothing(region: str, bucket: str, form: str) -> None:
    env = {
        "AUTH": "anonymous",
        "ROLE_ARN": "acs:ram::1234567890123456:role/upload",
        "BUCKET_NAME": bucket,
        "OSS_REGION": region,
    }
    host = f"{form.format(region)}.aliyuncs.com"
    bare = read_settings({**env, "OSS_INTERNAL_ENDPOINT": host})
    assert read_settings({**env, "OSS_INTERNAL_ENDPOINT": f"{bucket}.{host}"}) == bare
    assert bare.oss_internal_endpoint.host == host


# What the function itself uses


@pytest.mark.parametrize(
    ("more", "host"),
    [
        ({}, "oss-cn-hangzhou-internal.aliyuncs.com"),
        ({"OSS_REGION": ""}, "oss-cn-hangzhou-internal.aliyuncs.com"),
        ({"FC_REGION": "cn-beijing"}, "oss-cn-hangzhou.aliyuncs.com"),
        ({"FC_REGION": ""}, "oss-cn-hangzhou.aliyuncs.com"),
        ({"OSS_ENDPOINT": "files.example.com"}, "oss-cn-hangzhou-internal.aliyuncs.com"),
        (
            {"OSS_ENDPOINT": "files.example.com", "FC_REGION": "cn-beijing"},
            "files.example.com",
        ),
        ({"OSS_ENDPOINT": "oss-accelerate.aliyuncs.com"}, "oss-cn-hangzhou-internal.aliyuncs.com"),
        ({"OSS_ENDPOINT": "http://127.0.0.1:7081"}, "127.0.0.1"),
        ({"OSS_ENDPOINT": "http://10.0.2.2:7081"}, "10.0.2.2"),
        ({"OSS_ENDPOINT": "http://files.localhost:7081"}, "files.localhost"),
        ({"OSS_INTERNAL_ENDPOINT": "oss-cn-hangzhou.aliyuncs.com"}, "oss-cn-hangzhou.aliyuncs.com"),
        ({"OSS_INTERNAL_ENDPOINT": "files.example.com"}, "files.example.com"),
        (
            {"OSS_INTERNAL_ENDPOINT": "ep-bp1.oss.cn-hangzhou.privatelink.aliyuncs.com"},
            "ep-bp1.oss.cn-hangzhou.privatelink.aliyuncs.com",
        ),
        (
            {"OSS_INTERNAL_ENDPOINT": "my-bucket.vpc100-oss-cn-hangzhou.aliyuncs.com"},
            "vpc100-oss-cn-hangzhou.aliyuncs.com",
        ),
    ],
)
def test_the_function_takes_the_internal_endpoint_in_the_buckets_region(
    env: Env, more: Env, host: str
) -> None:
    env["FC_REGION"] = "cn-hangzhou"
    settings = read_settings({**env, **more})
    assert settings.oss_internal_endpoint.host == host
    # Clients never get an internal host.
    assert "-internal" not in settings.oss_endpoint.host


def test_one_fault_is_not_told_as_three(env: Env) -> None:
    """The check of an endpoint needs the bucket and the region. If the bucket or the region is
    wrong, the endpoint is not checked."""
    env.update(OSS_REGION="oss-cn-beijing", OSS_ENDPOINT="oss-cn-beijing.aliyuncs.com")
    assert [fault.variable for fault in faults.examine(env).faults] == ["OSS_REGION"]
    env.update(OSS_REGION="cn-beijing", BUCKET_NAME="", OSS_INTERNAL_ENDPOINT="oss-cn-beijing")
    assert [fault.variable for fault in faults.examine(env).faults] == ["BUCKET_NAME"]


def test_every_fault_of_its_own_is_told(env: Env) -> None:
    env.update(ROLE_ARN="", OSS_ENDPOINT="oss-cn-hangzhou", OSS_INTERNAL_ENDPOINT="oss")
    found = [fault.variable for fault in faults.examine(env).faults]
    assert found == ["ROLE_ARN", "OSS_ENDPOINT", "OSS_INTERNAL_ENDPOINT"]
