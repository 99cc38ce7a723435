"""Turns the environment into a Plan: what to call, how often, and what to announce first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ops import sizing
from ops.smoke.options import Options, UsageError, read_address, read_options
from ops.smoke.wire import GIVE_UP_SECONDS, Address

LEAST_CALLS, MOST_CALLS = 3, 20
"""The smallest and the largest value of CALLS, which is the number of calls of each function."""
WARM_CALLS = 2
"""The last two calls: one for a new token, one for a token from the cache."""
ROUTES = ("/", "/health")
WAYS = ("together", "idle")


@dataclass(frozen=True)
class Plan:
    """What to call, and how. `idle_seconds` is None if the calls are sent together. `bare` is the
    address of the bare function (bare.py), or None."""

    function: Options
    route: str
    calls: int
    idle_seconds: float | None
    bare: Address | None

    @property
    def tries(self) -> int:
        """The number of calls that should reach a new instance."""
        return self.calls - WARM_CALLS


def read_plan(env: Mapping[str, str]) -> Plan:
    """Read URL, LOGIN, SIGN and the operator's key as `make smoke` does. Also read CALLS, HOW,
    IDLE_MINUTES, ROUTE and BARE. Raises UsageError."""
    function = read_options({**env, "UPLOAD": "", "ACL": "", "ORIGIN": ""})
    if function.fc2 is not None:
        raise UsageError("FC2 cannot be used here, because aliyun-fc2 itself makes calls slower")
    bare = read_address(env, "BARE") if env.get("BARE", "").strip() else None
    for name, address in (("URL", function.address), ("BARE", bare)):
        if address and address.scheme == "http" and not address.is_loopback:
            raise UsageError(f"{name} must be https: others in the network could read the token")
    how = _word(env, "HOW", WAYS)
    idle_seconds = _whole(env, "IDLE_MINUTES", 6, 1, 60) * 60
    return Plan(
        function,
        _word(env, "ROUTE", ROUTES),
        _whole(env, "CALLS", 5, LEAST_CALLS, MOST_CALLS),
        idle_seconds if how == "idle" else None,
        bare,
    )


def hidden(plan: Plan) -> set[str]:
    """Return the secrets that no line may show."""
    key = plan.function.key
    own = (key.access_key_secret, key.security_token or "") if key else ()
    return {plan.function.login, *own} - {""}


def announced(plan: Plan) -> Iterator[str]:
    """Yield the lines that say what the tool will do, and the price."""
    all_calls = plan.calls * (1 if plan.bare is None else 2)
    yield f"make measure-cold: GET {plan.route} of {plan.function.address}"
    if plan.bare is not None:
        yield f"  and the bare function at {plan.bare}, which is called in the same way"
    each = " of each function" * (plan.bare is not None)
    if plan.idle_seconds is None:
        first = f"{plan.tries} at the same moment, so each call may need its own instance"
    else:
        minutes = plan.idle_seconds / 60
        first = f"{plan.tries}, each after {minutes:g} minutes without a call of this tool"
    yield f"  {plan.calls} calls{each}: {first}; then {WARM_CALLS}, one after another."
    if plan.idle_seconds is not None:
        whole = plan.tries * plan.idle_seconds / 60
        yield f"  It takes {whole:g} minutes. Ctrl-C ends it, and shows the results so far."
    asks = f"asks STS {plan.calls} times at most" if plan.route == "/" else "does not ask STS"
    yield f"  This changes nothing in the function, and {asks}."
    if plan.function.address.is_loopback:
        yield "  Price: nothing, because the function runs on this machine."
        return
    value = sizing.read().value
    most = sizing.calls_usd(value, 1, all_calls, GIVE_UP_SECONDS)
    seconds = f"{GIVE_UP_SECONDS:g} s"
    yield f"  Price (docs/sizing.md): at most {most:.4f} USD, with 1 vCPU, {seconds} per call;"
    yield f"  each hour with calls costs at least {value['least_cny_an_hour']:g} CNY."


def _word(env: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    word = env.get(name, "").strip() or words[0]
    if word not in words:
        raise UsageError(f"{name} must be {' or '.join(words)}")
    return word


def _whole(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
        raise UsageError(f"{name} must be a whole number, {least} to {most}")
    return int(text)
