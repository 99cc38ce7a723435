"""The measurements of `make bench`. Each deployed function runs in a fresh process.

For every process, one simulated server answers over TLS in place of STS, OSS and the host of the
JWKS. The process trusts the CA of this server, and as many other CAs as a machine usually trusts.
CPU time is the user and system time of the whole process.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from bench import core, packages, stub_cloud
from bench.calls import CONTENT_TYPE, DEPLOYED, JWT_SECRET, OBJECT, event, login
from bench.copies import CompareError
from bench.packages import Packages
from bench.process import Process, started
from bench.stub_cloud import StubCloud
from bench.vcpu import share

SEED = 20261128
VCPUS = (0.1, 0.25, 0.5, 1.0)
ROUNDS_OF_A_PROCESS = 10
"""Two processes with the same code differ in speed. Therefore all processes are started again after
this number of warm rounds."""
PARTS = 100
"""Parts in one call of /multipart."""
REQUESTS = (1, 1000, 100_000)
"""The numbers of requests after which memory is measured."""
WISH = {"object": OBJECT, "content_type": CONTENT_TYPE}
MIXED = "kept hs256"
"""This subject gets different requests, from more and more callers. Each of the other
subjects gets the same request again and again."""
_KEY_ID = "bench"

Values = dict[str, list[float]]
"""Milliseconds of each round, by the name of the subject or of the kind of call."""


class Subject(NamedTuple):
    """A function, its environment, and the event that starts it."""

    folders: Sequence[Path]
    environment: Mapping[str, str]
    cold_event: str


class Kind(NamedTuple):
    """Warm calls of one kind (`subject`). In each slice (a group of calls), the list of events is
    sent `repeat` times."""

    subject: str
    events: Sequence[str]
    repeat: int = 20


class State(NamedTuple):
    """The state of a process after some requests. `rss` and `peak` are in MB."""

    requests: int
    rss: float
    peak: float
    descriptors: float
    threads: float


class World(NamedTuple):
    """What is measured. `cold` and `slow` name the subjects whose start we measure. While a
    subject of `slow` starts, it gets only a share of a CPU. `kinds` are the warm calls. `memory`
    has, for each subject, the numbers of requests after which the memory of this subject is
    measured."""

    python: str
    port: int
    subjects: Mapping[str, Subject]
    cold: Sequence[str]
    slow: Sequence[str]
    kinds: Mapping[str, Kind]
    memory: Mapping[str, Sequence[int]]


@contextmanager
def world(made: Packages, python: str, folder: Path) -> Iterator[World]:
    """Prepare all measurements. The stand-in of the cloud serves while the block runs."""
    now = int(time.time())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    jwks = json.dumps({"keys": [{**jwk, "kid": _KEY_ID, "alg": "RS256", "use": "sig"}]})
    with stub_cloud.running(folder, jwks.encode()) as cloud:
        claims = {"sub": "alice", "iat": now, "exp": now + 3600}
        signed = jwt.encode(claims, key, "RS256", headers={"kid": _KEY_ID})
        trust = _trust(cloud, made.preinstalled, folder)
        subjects = dict(_subjects(made, trust, folder, login("alice", now), signed))
        slow = ("hs256", "anonymous", "template", "base", "base template", "AcsClient", "52 lines")
        alone = ("kept", "kept hs256", "signing", "oss2", "oss-v2")
        cold = [name for name in subjects if name not in alone]
        kinds = dict(_kinds(cloud, login("alice", now)))
        few = REQUESTS[:2]
        memory = {"hs256": few, "AcsClient": few, "sts20150401": few, MIXED: REQUESTS}
        yield World(python, cloud.port, subjects, cold, slow, kinds, memory)


def _trust(cloud: StubCloud, site: Path, folder: Path) -> dict[str, str]:
    """Variables that name our CA. The CA is in a file with many other CAs, as on a usual machine,
    and in a folder."""
    bundle, certificates = folder / "bundle.pem", folder / "certs"
    authority = cloud.certificate.read_bytes()
    bundle.write_bytes((site / "certifi" / "cacert.pem").read_bytes() + b"\n" + authority)
    certificates.mkdir()
    (certificates / stub_cloud.hashed_name()).write_bytes(authority)
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "ALIBABA_CLOUD_CA_BUNDLE")
    return {**dict.fromkeys(names, str(bundle)), "SSL_CERT_DIR": str(certificates)}


def _subjects(
    made: Packages, trust: Mapping[str, str], folder: Path, hs256: str, rs256: str
) -> Iterator[tuple[str, Subject]]:
    limits = {"CALLER_TOKENS_PER_MINUTE": "0", "CALLER_URLS_PER_MINUTE": "0"}
    common = {**DEPLOYED, **trust, **limits}
    anonymous = {**common, "AUTH": "anonymous"}
    secret = {**common, "AUTH": "jwt", "JWT_SECRET": JWT_SECRET}
    url = f"https://{stub_cloud.LOGIN_HOST}/jwks.json"
    ours, same = [made.ours.folder], [made.control.folder]
    unnamed, named = event("/", None, {}), event("/", hs256, {})
    yield "anonymous", Subject(ours, anonymous, unnamed)
    yield "anonymous again", Subject(same, anonymous, unnamed)
    yield "hs256", Subject(ours, secret, named)
    yield "hs256 again", Subject(same, secret, named)
    jwks = {**common, "AUTH": "jwt", "JWT_JWKS_URL": url}
    yield "jwks", Subject(ours, jwks, event("/", rs256, {}))
    yield "template", Subject([made.template.folder, made.preinstalled], secret, named)
    yield "base", Subject([made.base.folder], secret, named)
    yield "base template", Subject([made.base_template.folder, made.preinstalled], secret, named)
    for title, name, sites in (
        ("52 lines", "standard_library", ()),
        ("floor", "floor", ()),
        ("AcsClient", "acs_client", (made.preinstalled,)),
        ("sts20150401", "sts20150401", (made.brought,)),
        ("signing", "url_ours", (made.ours.folder,)),
        ("oss2", "url_oss2", (made.preinstalled,)),
        ("oss-v2", "url_oss_v2", (made.brought,)),
    ):
        place = packages.peer(name, folder)
        yield title, Subject([place, *sites], {**common, "JWT_SECRET": JWT_SECRET}, named)
    keeping = {"TOKEN_EXPIRE_TIME": "3600", "MULTIPART_SECRET": core.MULTIPART_SECRET}
    callbacks = {"CALLBACK_URL": core.CALLBACK_URL, "CALLBACK_SECRET": core.CALLBACK_SECRET}
    yield "kept", Subject(ours, {**anonymous, **keeping}, unnamed)
    yield "kept hs256", Subject(ours, {**secret, **keeping, **callbacks}, named)


def _kinds(cloud: StubCloud, hs256: str) -> Iterator[tuple[str, Kind]]:
    unnamed, named = event("/", None, {}), event("/", hs256, {})
    yield "new token", Kind("anonymous", [unnamed])
    yield "new token again", Kind("anonymous again", [unnamed])
    yield "new token, login", Kind("hs256", [named])
    yield "served again", Kind("kept", [unnamed])
    yield "served again, login", Kind("kept hs256", [named])
    yield "signed URL", Kind("kept", [event("/signed-url", None, WISH)])
    yield "signed URL, login", Kind("kept hs256", [event("/signed-url", hs256, WISH)])
    yield "form, login", Kind("kept hs256", [event("/form", hs256, {})])
    yield f"{PARTS} parts, login", Kind("kept hs256", [_parts(cloud, hs256)], 2)
    callback = core.callback_event(core.FUNCTION, cloud)
    yield "callback", Kind("kept hs256", [json.dumps(callback)])
    # A caller may list at most 60 times a minute, so there are several callers.
    listing = [event("/uploads", login(f"user-{i}", int(time.time())), {}) for i in range(20)]
    yield "/uploads, login", Kind("kept hs256", listing, 1)
    yield "floor", Kind("floor", [unnamed])
    yield "52 lines", Kind("52 lines", [named])
    yield "AcsClient", Kind("AcsClient", [unnamed], 5)
    yield "sts20150401", Kind("sts20150401", [unnamed], 5)
    yield "signed URL, signing alone", Kind("signing", [unnamed])
    yield "oss2", Kind("oss2", [unnamed])
    yield "oss-v2", Kind("oss-v2", [unnamed])


def _parts(cloud: StubCloud, hs256: str) -> str:
    """The event that asks for the signed URLs of an upload's parts."""
    size = str(PARTS * 5 * 1024 * 1024)
    begin = event("/multipart", hs256, {**WISH, "size": size}, post=True)
    wish = {
        "Upload": core.run(core.FUNCTION, cloud, json.loads(begin)).answer["Upload"],
        "upload_id": "0004B9894A22E5B1888A1E29F8236E2D",
        "parts": ",".join(map(str, range(1, PARTS + 1))),
    }
    return event("/multipart", hs256, wish, post=True)


def cold(of: World, rounds: int) -> Values:
    """CPU milliseconds of the whole process from its start to its first answer."""
    return _cold(of, of.cold, rounds, "cold CPU", lambda _, said: float(said["cpu"]))


def slow(of: World, vcpu: float, rounds: int) -> Values | None:
    """Milliseconds of wall time from the start of a process to its first answer. The process gets
    only the share `vcpu` of a CPU. None if the share cannot be set."""
    with share(vcpu) as before:
        if before is None:
            return None

        def wall(process: Process, _: object) -> float:
            return (time.perf_counter() - process.began) * 1000

        return _cold(of, of.slow, rounds, f"{vcpu:g} vCPU", wall, before)


def _cold(
    of: World,
    names: Sequence[str],
    rounds: int,
    what: str,
    measure: Callable[[Process, Mapping[str, Any]], float],
    before: Sequence[str] = (),
) -> Values:
    found: Values = {name: [] for name in names}
    for order in _orders(names, rounds, what):
        for name in order:
            with _started(of, name, before) as process:
                said = _ask(process, of.subjects[name].cold_event)
                found[name].append(measure(process, said))
    return found


def warm(of: World, rounds: int, slices: int) -> Values:
    """CPU milliseconds of one call of each kind. The value of a round is the mean of its slices."""
    found: Values = {kind: [] for kind in of.kinds}
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        for number, order in enumerate(_orders(list(of.kinds), rounds, "warm CPU")):
            if number % ROUNDS_OF_A_PROCESS == 0:
                stack.close()
                for name in {kind.subject: None for kind in of.kinds.values()}:
                    processes[name] = stack.enter_context(_started(of, name))
                    _ask(processes[name], of.subjects[name].cold_event)
                # The first call imports modules and fills caches for all later calls.
                _slice(of, order, processes)
            sums = [_slice(of, order, processes) for _ in range(slices)]
            for kind in order:
                found[kind].append(sum(each[kind] for each in sums) / slices)
    return found


def _slice(of: World, order: Sequence[str], processes: Mapping[str, Process]) -> dict[str, float]:
    found = {}
    for kind in order:
        subject, events, repeat = of.kinds[kind]
        said = _ask(processes[subject], json.dumps([events, repeat]))
        found[kind] = said["cpu"] / len(events) / repeat
    return found


def memory(of: World, most: int) -> dict[str, list[State]]:
    """The state of each process after some requests. `most` limits their number."""
    found: dict[str, list[State]] = {}
    for name, requests in of.memory.items():
        subject = of.subjects[name]
        found[name] = []
        with _started(of, name) as process:
            _ask(process, subject.cold_event)
            done = 1
            for number in (min(each, most) for each in requests):
                while done < number:
                    several = min(500, number - done)
                    asked = range(done, done + several)
                    events = [mixed(i) if name == MIXED else subject.cold_event for i in asked]
                    _ask(process, json.dumps([events, 1]))
                    done += several
                found[name].append(State(number, **process.ask(json.dumps("state"))))
    return found


def mixed(number: int) -> str:
    """The event of a request. In the first thousand requests, each caller is new and asks for a
    token. After the first thousand, each new caller makes ten requests: two for a token, four for
    a signed URL, and four for a form."""
    tenth = number % 10
    shown = login(f"user-{number if number < 1000 else number // 10 * 10}", int(time.time()))
    if number < 1000 or tenth < 2:
        return event("/", shown, {})
    if tenth < 6:
        return event("/signed-url", shown, WISH)
    return event("/form", shown, {})


def _started(of: World, name: str, before: Sequence[str] = ()) -> AbstractContextManager[Process]:
    subject = of.subjects[name]
    return started(
        name, subject.folders, of.python, subject.environment, port=of.port, before=before
    )


def _ask(process: Process, line: str) -> dict[str, Any]:
    said = process.ask(line)
    if said["refused"]:
        raise CompareError(f"{process.name} answers {said['refused']}")
    return said


def _orders(names: Sequence[str], rounds: int, what: str) -> Iterator[list[str]]:
    """Yield the names in a new order for each round. Show the progress on a terminal."""
    chance = random.Random(SEED)  # noqa: S311 - an order, no secret
    for number in range(rounds):
        if sys.stderr.isatty():
            print(
                f"\r  {what}: round {number + 1} of {rounds} ", end="", file=sys.stderr, flush=True
            )
        yield chance.sample(list(names), len(names))
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
