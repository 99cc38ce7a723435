"""Tests `make measure-cold` with the real function, which runs behind simulated instances with cold
starts."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cold_instances import Clock, Instances, in_front_of
from faulty_proxy import Exchange, faulty
from operators_tool import run_tool
from ops import report, sizing
from ops.measure_cold import bare, calls, told
from ops.measure_cold.calls import AGAIN, IDLE, NEW, TOGETHER, Seen, Series
from ops.measure_cold.plan import Plan, announced, hidden, read_plan
from ops.smoke.options import UsageError
from running_function import RunningFunction, running_function
from running_sandbox import make
from sandbox import gateway
from sandbox.servers import Service, in_background, listen
from smoke_test import KEY

ROOT = Path(__file__).parents[2]
ANYWHERE = "https://functions.example.com/"


class Measured:
    """One run of the command. It holds both series of calls, and the lines that the command prints
    before and after the calls. `waited` holds the seconds of each wait."""

    def __init__(self, plan: Plan, sleep: Any = None) -> None:
        self.waited: list[float] = []
        self.own, self.bare = Series(), Series()
        self.before = list(announced(plan))

        def wait(seconds: float) -> None:
            self.waited.append(seconds)
            if sleep is not None:
                sleep(seconds)

        calls.measure(plan, self.own, self.bare, wait)
        # The lines are not masked here, because they must have no secret even before masking.
        self.after = list(told.lines(plan, self.own, self.bare))
        self.text = "\n".join([*self.before, *self.after])
        for secret in hidden(plan):
            assert secret not in self.text

    def named(self, name: str) -> str:
        """Return the line that begins with `name`."""
        return next(line for line in self.after if line.strip().startswith(name))


def measured(url: str, sleep: Any = None, **env: str) -> Measured:
    return Measured(read_plan({"URL": url, **env}), sleep)


# Cold and warm


def test_calls_at_the_same_moment_meet_new_instances(
    function: RunningFunction,
    clock: Clock,
) -> None:
    instances = Instances(clock, together=3)
    with in_front_of(function.url, instances) as url:
        found = measured(url)
    assert [one.kind for one in found.own.calls] == [TOGETHER] * 3 + [NEW, AGAIN]
    assert len(found.own.cold()) == 3
    assert instances.started == 3
    assert len(instances.requests) == 5
    assert sum(": cold" in line for line in found.after) == 3
    assert "instance c-0000" in found.text
    assert "STS 0.042 s" in found.text
    assert "1." in found.named("cold")


def test_calls_after_idling_meet_a_new_instance_each(
    function: RunningFunction,
    clock: Clock,
) -> None:
    instances = Instances(clock)
    with in_front_of(function.url, instances) as url:
        found = measured(
            url, lambda _: instances.release(), HOW="idle", CALLS="4", IDLE_MINUTES="7"
        )
    assert found.waited == [420, 420]
    assert [one.kind for one in found.own.cold()] == [IDLE, IDLE]
    assert "4 calls: 2, each after 7 minutes without a call of this tool" in found.before[1]
    assert "It takes 14 minutes" in found.text


def test_an_instance_that_was_there_before_is_not_new(
    function: RunningFunction,
    clock: Clock,
) -> None:
    """A slow answer does not count as cold if the platform names an instance that is already
    known."""
    instances = Instances(clock)
    with in_front_of(function.url, instances) as url:
        found = measured(url, HOW="idle", CALLS="4")
    assert len(found.own.cold()) == 1
    slow = Series([*found.own.calls, Seen(IDLE, 9.0, instance="c-0000")])
    assert len(slow.cold()) == 1
    assert len(Series([*found.own.calls, Seen(IDLE, 9.0, instance="c-7777")]).cold()) == 2


def test_the_new_token_is_one_that_no_cache_has(
    function: RunningFunction,
    clock: Clock,
) -> None:
    instances = Instances(clock)
    with in_front_of(function.url, instances) as url:
        for _ in range(2):
            measured(url, CALLS="3")
    wished = [one.target for one in instances.requests if "object=" in one.target]
    assert len(set(wished)) == 2
    assert all(re.fullmatch(r"/\?object=measure-cold-[0-9a-f]{16}", target) for target in wished)


def test_health_needs_no_login_and_no_sts(
    login_function: RunningFunction,
    clock: Clock,
) -> None:
    instances = Instances(clock)
    with in_front_of(login_function.url, instances) as url:
        found = measured(url, ROUTE="/health", LOGIN="not.a.login", CALLS="3")
    assert {one.target for one in instances.requests} == {"/health"}
    assert "does not ask STS" in found.text
    assert len(found.own.answered) == 3


def test_a_login_is_used_and_not_shown(
    login_function: RunningFunction,
    login: str,
    clock: Clock,
) -> None:
    with in_front_of(login_function.url, Instances(clock)) as url:
        found = measured(url, LOGIN=login, CALLS="3")
    assert len(found.own.answered) == 3
    assert login not in found.text


def test_the_sandbox_has_no_cold_start_and_it_says_so(function: RunningFunction) -> None:
    found = measured(function.url)
    warm = Series([Seen(one.kind, 0.01) for one in found.own.calls])
    plan = read_plan({"URL": function.url})
    text = "\n".join(told.lines(plan, warm, Series()))
    assert "No call was cold: the function is one process that always runs on this" in text
    assert "Price: nothing, because the function runs on this machine." in found.before[-1]


# The computed results


def series(*cold: float, **more: Any) -> Series:
    """Return a series of calls. The numbers in `cold` are the seconds of its cold calls. After the
    cold calls come a warm call of 0.2 s and a warm call of 0.1 s."""
    warm = [Seen(NEW, 0.2, 0.05, invocation_seconds=0.12), Seen(AGAIN, 0.1, 0.05)]
    return Series([*(Seen(TOGETHER, seconds, 0.05, **more) for seconds in cold), *warm])


def lines(own: Series, other: Series | None = None, **env: str) -> dict[str, str]:
    """Return the numbers in the printed lines, by the names of the lines."""
    plan = read_plan({"URL": ANYWHERE, **env})
    found = {}
    for line in told.lines(plan, own, other or Series()):
        if named := re.fullmatch(r" *(\S.*?)  +([0-9.]+) s.*", line):
            found[named[1]] = named[2]
    return found


def test_the_parts_that_nobody_tells_apart_stay_together() -> None:
    found = lines(series(1.2, 1.6, 1.4))
    assert found["cold"] == "1.400"
    assert found["of this, the cold start"] == "1.200"
    assert found["platform, runtime, import and first call"] == "1.200"
    assert found["warm, a new token"] == "0.200"
    assert found["warm, served again"] == "0.100"
    assert found["connection"] == "0.050"


def test_the_platforms_own_measure_tells_the_first_call_apart() -> None:
    found = lines(series(1.4, invocation_seconds=0.42))
    assert found["platform, runtime and import"] == "0.900"
    assert found["first call"] == "0.300"


def test_a_bare_function_tells_platform_and_runtime_apart() -> None:
    other = series(0.8, process_seconds=0.15)
    found = lines(series(1.4, invocation_seconds=0.42), other, BARE=ANYWHERE)
    assert [found[name] for name in ("platform", "runtime", "import", "first call")] == [
        "0.450",
        "0.150",
        "0.300",
        "0.300",
    ]


def test_a_runtime_that_was_started_in_advance_is_no_more_than_the_platforms_part() -> None:
    found = lines(series(1.4), series(0.8, process_seconds=600.0), BARE=ANYWHERE)
    assert (found["platform"], found["runtime"]) == ("0.000", "0.600")
    assert found["import and first call"] == "0.600"


def test_parts_are_never_negative() -> None:
    found = lines(series(0.5, invocation_seconds=9.0), series(5.0), BARE=ANYWHERE)
    assert all(float(value) >= 0 for value in found.values())


@pytest.mark.parametrize(
    ("seconds", "is_cold"), [(0.2, False), (0.35, False), (0.4, False), (0.41, True), (9.0, True)]
)
def test_a_cold_call_takes_twice_as_long_and_more(seconds: float, is_cold: bool) -> None:
    assert bool(series(seconds).cold()) == is_cold


def test_a_difference_of_a_few_milliseconds_is_no_cold_start() -> None:
    quick = Series([Seen(TOGETHER, 0.1), Seen(NEW, 0.01), Seen(AGAIN, 0.005)])
    assert quick.cold() == []


def test_where_no_call_was_cold_it_says_how_to_get_one() -> None:
    plan = read_plan({"URL": ANYWHERE})
    text = "\n".join(told.lines(plan, series(0.2), Series()))
    for word in ("CALLS=20", "HOW=idle", "a variable of the function"):
        assert word in text


# The bare function


@pytest.fixture
def bare_url() -> Iterator[str]:
    """Run the bare function behind an HTTP trigger. Yield its URL."""
    service = Service(gateway.create_app(bare.handler, lambda context: None), listen(0))
    with in_background([service]):
        yield f"http://127.0.0.1:{service.port}/"


def test_the_bare_function_is_measured_in_the_same_way(
    function: RunningFunction,
    clock: Clock,
    bare_url: str,
) -> None:
    own, other = Instances(clock, together=3), Instances(clock, together=3)
    with in_front_of(function.url, own) as url, in_front_of(bare_url, other) as bare_one:
        found = measured(url, BARE=bare_one)
    assert len(own.requests) == len(other.requests) == 5
    assert len(found.bare.cold()) == 3
    assert "5 calls of each function" in found.before[2]
    assert found.named("runtime")
    # The bare function is called without the login.
    assert {one.target for one in other.requests} == {"/"}


def test_the_bare_function_says_how_old_its_process_is() -> None:
    """FC imports the bare function as `index.py`, without any other file of this project."""
    code = f"import runpy; print(runpy.run_path({bare.__file__!r})['handler'](b'', None)['body'])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    answer = json.loads(done.stdout)
    assert answer["StatusCode"] == 200
    # The answer has the age of the process that this test has just started, not the age of the
    # machine.
    assert 0 <= answer["ProcessMs"] < 60_000


# What goes wrong


def test_without_a_login_it_says_what_to_do(login_function: RunningFunction) -> None:
    found = measured(login_function.url)
    assert found.own.answered == []
    assert "Nothing was measured" in found.text
    refusals = [line for line in found.after if line.startswith("Refused: ")]
    assert len(refusals) == 1
    assert "MissingToken" in refusals[0]
    assert "LOGIN" in refusals[0]
    assert "ROUTE=/health" in refusals[0]


def test_where_tokens_are_closed_it_names_the_route_that_is_open(tmp_path: Path) -> None:
    with running_function(tmp_path, ENABLED_ROUTES="form") as running:
        assert "ROUTE=/health" in measured(running.url, CALLS="3").text


def test_the_platforms_refusals_are_told_apart(
    function: RunningFunction,
    clock: Clock,
) -> None:
    with in_front_of(function.url, Instances(clock, cap=2, together=4)) as url:
        found = measured(url, CALLS="6")
    assert sum(line.endswith(" refused") for line in found.after) == 2
    assert len(found.own.cold()) == 2
    assert "MAX_INSTANCES" in found.named("Refused: HTTP 429")


def html(exchange: Exchange) -> None:
    exchange.body = b"<!DOCTYPE html>"


def other_json(exchange: Exchange) -> None:
    exchange.body = b'{"hello": "world"}'


def strange_headers(exchange: Exchange) -> None:
    exchange.answered |= {
        "X-Fc-Invocation-Duration": "nan",
        "X-Fc-Log-Result": "%%%",
        "X-Fc-Instance-Id": "i" * 500,
    }


@pytest.mark.parametrize(
    ("fault", "says"), [(html, "HTML"), (other_json, "not an answer of the token function")]
)
def test_an_answer_of_something_else_is_not_measured(
    function: RunningFunction, fault: Any, says: str
) -> None:
    with faulty(function.url, fault) as url:
        found = measured(url, CALLS="3")
    assert found.own.answered == []
    assert says in found.text


def test_odd_headers_cost_nothing_but_themselves(function: RunningFunction) -> None:
    with faulty(function.url, strange_headers) as url:
        found = measured(url, CALLS="3")
    assert len(found.own.answered) == 3
    assert all(one.invocation_seconds is None for one in found.own.calls)
    assert max(map(len, found.after)) < 200


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", None),
        ("{", None),
        ('{"stsMs": 5}', None),
        ('{"totalMs": 9, "stsMs": 5}', 0.005),
        ('x {"totalMs": 9, "stsMs": -5}', None),
        ('{"totalMs": 9, "stsMs": "5; rm"}', None),
        ("[" * 100_000 + "{", None),
    ],
)
def test_only_the_functions_own_line_is_read_from_a_log(
    function: RunningFunction, log: str, expected: float | None
) -> None:
    def with_log(exchange: Exchange) -> None:
        exchange.answered["X-Fc-Log-Result"] = base64.b64encode(log[:4096].encode()).decode()

    with faulty(function.url, with_log) as url:
        found = measured(url, CALLS="3")
    assert found.own.calls[0].sts_seconds == expected


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"URL": ""}, "URL"),
        ({"URL": "http://functions.example.com"}, "URL must be https"),
        ({"BARE": "http://functions.example.com"}, "BARE must be https"),
        ({"BARE": "ftp://x"}, "BARE"),
        ({"CALLS": "2"}, "CALLS must be a whole number, 3 to 20"),
        ({"CALLS": "21"}, "CALLS"),
        ({"CALLS": "many"}, "CALLS"),
        ({"CALLS": "9" * 5000}, "CALLS"),
        ({"CALLS": "\u0665"}, "CALLS"),
        ({"HOW": "quickly"}, "HOW must be together or idle"),
        ({"IDLE_MINUTES": "0"}, "IDLE_MINUTES"),
        ({"IDLE_MINUTES": "61"}, "IDLE_MINUTES"),
        ({"ROUTE": "/uploads"}, "ROUTE must be / or /health"),
        ({"LOGIN": "two words"}, "LOGIN"),
        ({"SIGN": "1"}, "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ({"FC2": "service/function", **KEY}, "FC2"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_shown(
    variables: dict[str, str], word: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_plan({"URL": ANYWHERE, **variables})
    assert word in str(caught.value)
    assert "two words" not in str(caught.value)


def test_what_make_smoke_alone_reads_is_no_fault_here() -> None:
    """A .env file may contain the variables of `make smoke`, too."""
    assert read_plan({"URL": ANYWHERE, "UPLOAD": "x", "ACL": "1", "ORIGIN": "x"}).calls == 5


def test_the_price_is_said_before_and_is_that_of_the_most_it_can_be() -> None:
    for calls_, functions in ((5, 1), (20, 1), (20, 2)):
        bare_one = {"BARE": ANYWHERE} if functions == 2 else {}
        text = "\n".join(announced(read_plan({"URL": ANYWHERE, "CALLS": str(calls_), **bare_one})))
        price = float(re.findall(r"at most ([0-9.]+) USD", text)[0])
        all_calls = calls_ * functions
        # Each call is billed for at most ten seconds of 1 vCPU, and for an idle minute of 1 GB
        # after it.
        units = all_calls * (0.0075 + 10 * (1 + 0.15) + 60 * 0.15)
        assert price == pytest.approx(units * sizing.read().value["cu_usd"], abs=0.0001)
        assert "0.01 CNY" in text


def test_a_url_with_a_secret_in_its_query_is_shown_without() -> None:
    plan = read_plan({"URL": f"{ANYWHERE}?key=s3cret"})
    assert "s3cret" not in "\n".join([*announced(plan), *told.lines(plan, Series(), Series())])


def test_a_refusal_that_quotes_the_login_is_masked() -> None:
    plan = read_plan({"URL": ANYWHERE, "LOGIN": "l0gin.of.alice"})
    own = Series([Seen(TOGETHER, refusal="InvalidToken: l0gin.of.alice is none")])
    text = "\n".join(report.plain(line, hidden(plan)) for line in told.lines(plan, own, Series()))
    assert "InvalidToken: ***" in text
    assert "l0gin" not in text


# The command, run as users run it


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run_tool("ops.measure_cold", *command, seconds=60, **variables)


def test_make_measure_cold_measures_and_succeeds(
    login_function: RunningFunction, login: str
) -> None:
    done = run(*make("measure-cold", f"URL={login_function.url}"), LOGIN=login)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"make measure-cold: GET / of {login_function.url}")
    assert "warm, served again" in done.stdout
    assert login not in done.stdout + done.stderr
    assert done.stderr == ""


def test_nothing_measured_is_the_exit_status(login_function: RunningFunction) -> None:
    done = run(URL=login_function.url, CALLS="3")
    assert done.returncode == 1
    assert "Nothing was measured" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_wrong_variable_is_one_line_on_stderr() -> None:
    done = run(URL="nonsense", LOGIN="l0gin")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("make measure-cold: URL must be ")
    assert len(done.stderr.splitlines()) == 1
