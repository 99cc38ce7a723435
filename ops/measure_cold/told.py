"""Prints the results: a line for each call, the summary, and what to do if there is no result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from ops.measure_cold.calls import AGAIN, NEW, Seen, Series
from ops.measure_cold.plan import Plan

_LOGIN_CODES = ("MissingToken", "InvalidToken", "ExpiredToken")


def lines(plan: Plan, own: Series, bare: Series) -> Iterator[str]:
    """Yield all lines. A refusal has text from the server, so mask secrets before printing."""
    yield ""
    for series, name in ((own, ""), (bare, "bare, ")):
        is_token = series is own and plan.route == "/"
        cold = series.cold()
        for one in series.calls:
            kind = one.kind if is_token or one.kind not in (NEW, AGAIN) else "on its own"
            yield _call(f"{name}{kind}", one, is_cold=any(one is met for met in cold))
    yield ""
    if own.warm() is None:
        what = "Nothing can be concluded" if own.answered else "Nothing was measured"
        yield f"{what}: no warm call was answered."
    else:
        yield from _times(plan, own, bare)
    yield from _refusals(plan, own.calls)
    yield from (f"The bare function: {text}." for text in _each(bare.calls))
    if own.warm() is not None and not own.cold():
        yield from _none_was_cold(plan)


def _times(plan: Plan, own: Series, bare: Series) -> Iterator[str]:
    connections = [one.connect_seconds for one in own.answered]
    yield _time("connection", connections, "DNS, TCP and TLS, which the times below do not include")
    warm = [one for one in (own.warm(NEW), own.warm(AGAIN)) if one is not None]
    if plan.route == "/":
        yield from (_time(f"warm, {one.kind}", [one.seconds]) for one in warm)
    else:
        yield _time("warm", [one.seconds for one in warm])
    if cold := own.cold():
        yield _time("cold", [one.seconds for one in cold])
        yield from _parts(own, bare)


def _parts(own: Series, bare: Series) -> Iterator[str]:
    """Yield lines that split the additional time of a cold call into its parts, as far as these
    could be measured."""
    rest, first = _extra(own), _first_call(own)
    names = ["platform", "runtime", "import", "first call"]
    yield _time("  of this, the cold start", [rest], "longer than a warm call of the same kind")
    if bare.cold():
        # The platform may start a runtime before the call arrives. The process of such a runtime is
        # older than the call.
        starts = [one.process_seconds for one in bare.cold() if one.process_seconds is not None]
        platform = _extra(bare)
        runtime = min(median(starts), platform) if starts else 0.0
        if starts:
            yield _time("    platform", [platform - runtime], "of the bare function")
            yield _time("    runtime", [runtime], "of the bare function, until Python imports it")
        else:
            yield _time("    platform and runtime", [platform], "of the bare function")
        rest, names = max(rest - platform, 0), names[2:]
    if first is not None:
        first = min(first, rest)
        yield _time(f"    {_joined(names[:-1])}", [rest - first])
        yield _time("    first call", [first], "as the platform measures it")
    else:
        yield _time(f"    {_joined(names)}", [rest], "there are no separate times of these parts")
    if not bare.calls:
        yield "Set BARE=https://… to measure platform and runtime separately (docs/sizing.md)."


def _extra(series: Series) -> float:
    """Return how many seconds longer cold calls took than a warm call of the same kind."""
    warm = series.warm()
    return median(one.seconds for one in series.cold()) - (warm.seconds if warm else 0)


def _first_call(own: Series) -> float | None:
    """Return how many seconds longer the handler took in cold calls than in a warm call. The
    platform measures these times. Return None if the platform does not report them."""
    warm = own.warm()
    cold = [one.invocation_seconds for one in own.cold() if one.invocation_seconds is not None]
    if not cold or warm is None or warm.invocation_seconds is None:
        return None
    return max(median(cold) - warm.invocation_seconds, 0)


def _refusals(plan: Plan, calls: Sequence[Seen]) -> Iterator[str]:
    for refusal in _each(calls):
        code = refusal.partition(":")[0]
        if code in _LOGIN_CODES:
            advice = "Give a valid login as LOGIN, or ROUTE=/health, which needs no login"
        elif code == "RouteDisabled":
            advice = "ENABLED_ROUTES closes the token route. Use ROUTE=/health, which is open"
        elif code == "HTTP 429":
            advice = "The limit of instances (MAX_INSTANCES) may be reached. Try a smaller CALLS"
        else:
            advice = f"Run `make smoke URL={plan.function.address}` to see more"
        yield f"Refused: {refusal.rstrip('.')}. {advice}."


def _each(calls: Sequence[Seen]) -> list[str]:
    """Return each refusal once."""
    return list(dict.fromkeys(one.refusal for one in calls if one.refusal))


def _none_was_cold(plan: Plan) -> Iterator[str]:
    if plan.function.address.is_loopback:
        yield "No call was cold: the function is one process that always runs on this machine, and"
        yield "there is no platform. `make bench` measures a new process."
        return
    yield "No call was cold: each of them reached an existing instance. To reach new instances:"
    yield "- CALLS=20 sends more calls at one moment than there are instances (built-in runtime)."
    yield "- HOW=idle waits until all instances are released. Send no other calls in this time."
    yield "- Change a variable of the function, in the console or by `s deploy -y`: after that, all"
    yield "  instances are new. Then run `make measure-cold` again at once."


def _call(kind: str, one: Seen, *, is_cold: bool) -> str:
    if one.refusal:
        return f"{kind:<20} refused"
    said = [f"{one.seconds:.3f} s", f"connection {one.connect_seconds:.3f} s"]
    if one.invocation_seconds is not None:
        said.append(f"handler {one.invocation_seconds:.3f} s")
    if one.sts_seconds is not None:
        said.append(f"STS {one.sts_seconds:.3f} s")
    if one.instance:
        said.append(f"instance {one.instance[:32]}")
    return f"{kind:<20} {', '.join(said)}: {'cold' if is_cold else 'warm'}"


def _time(name: str, seconds: Sequence[float], note: str = "") -> str:
    spread = f" ({min(seconds):.3f} to {max(seconds):.3f})" if len(seconds) > 1 else ""
    return f"{name:<46} {median(seconds):.3f} s{spread}  {note}".rstrip()


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
