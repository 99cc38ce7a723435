"""The resource types of ROS: the vendor's specifications, read from the ros-cdk wheels.

The wheels contain JavaScript that the vendor generated from the specifications. This module reads
it as text, and never runs it. The vendor's own CDK checks templates with this JavaScript. We assume
that ROS follows the same rules, which is not verified on the real cloud (assumption 30).
ros_template.py compares templates with the specifications.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from ops import ROOT

PINS = Path(__file__).with_name("ros_specifications.txt")
CACHE = ROOT / ".cache" / "ros-specifications"


class SpecificationsMissing(Exception):
    """Raised when the specifications are not in the cache and cannot be fetched."""


@dataclass
class Property:
    """One property. `kind` is string, number, boolean, any, list, map or struct. `inner` describes
    the values of a list or map, and `struct` is the name of a struct. `bounds` limit a number or a
    length."""

    kind: str = "any"
    required: bool = False
    inner: Property | None = None
    struct: str = ""
    allowed: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    bounds_length: bool = False


@dataclass
class Resource:
    """A resource type: its properties, and the attributes for Fn::GetAtt."""

    properties: dict[str, Property]
    attributes: frozenset[str]


@dataclass
class Specifications:
    """All specifications of the wheels. `structs` maps the names of the structs in the JavaScript
    to their properties."""

    resources: dict[str, Resource] = field(default_factory=dict)
    structs: dict[str, dict[str, Property]] = field(default_factory=dict)


def load(cache: Path = CACHE) -> Specifications:
    """Read the pinned specifications, and fetch the wheels that are not in the cache. Raises
    SpecificationsMissing if this fails."""
    pins = re.findall(r"^(\S+)==(\S+)", PINS.read_text(encoding="utf-8"), re.M)
    wheels = [cache / f"{n.replace('-', '_')}-{v}-py3-none-any.whl" for n, v in pins]
    if not all(wheel.exists() for wheel in wheels):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        command += [f"--dest={cache}", "-r", str(PINS)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1:]
            raise SpecificationsMissing(f"pip cannot fetch {PINS.name}: {' '.join(reason)}")
    found = Specifications()
    for wheel in wheels:
        _read(_javascript(wheel), found)
    return found


def _javascript(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        inner = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        for member in archive:
            if re.fullmatch(r"package/lib/\w+\.generated\.js", member.name):
                file = archive.extractfile(member)
                assert file is not None  # noqa: S101 - its name says that it is a file
                return file.read().decode()
    raise SpecificationsMissing(f"{wheel.name} contains no specification")


_VALIDATOR = re.compile(
    r"^function Ros(\w+)(?:Props|Property)Validator\(properties\) \{(.*?)^\}", re.S | re.M
)
_RENDERER = re.compile(
    r"^function ros\w+?ToRosTemplate\(properties.*?^\s+(?:Ros(\w+)Validator\(properties\)"
    r"\.assertSuccess\(\);).*?^    return \{(.*?)^    \};",
    re.S | re.M,
)
_CLASS = re.compile(
    r"^class Ros(\w+) extends ros\.RosResource \{(.*?)^\}.*?"
    r"^Ros\1\.ROS_RESOURCE_TYPE_NAME = \"([\w:]+)\";",
    re.S | re.M,
)
_RULE = re.compile(r"propertyValidator\('(\w+)', (.+?)\)\((?:properties\.\1\)|\{(.*?)\}\))", re.S)


def _read(text: str, into: Specifications) -> None:
    rules = {match[1]: match[2] for match in _VALIDATOR.finditer(text)}
    # Maps the names of properties in the JavaScript to their names in templates.
    names = {
        re.sub("(Props|Property)$", "", match[1]): {
            camel: name
            for name, camel in re.findall(r"'([^']+)': .*\(properties\.(\w+)\)", match[2])
        }
        for match in _RENDERER.finditer(text)
    }
    for struct, body in rules.items():
        spelled = names[struct]
        into.structs[struct] = {spelled[camel]: found for camel, found in _properties(body).items()}
    for name, body, type_name in _CLASS.findall(text):
        attributes = frozenset(re.findall(r"getAtt\('(\w+)'\)", body))
        into.resources[type_name] = Resource(into.structs[name], attributes)


def _properties(body: str) -> dict[str, Property]:
    found: dict[str, Property] = {}
    for camel, rule, arguments in _RULE.findall(body):
        known = found.setdefault(camel, Property())
        if rule == "ros.requiredValidator":
            known.required = True
        elif rule == "ros.validateAllowedValues":
            known.allowed = tuple(re.findall(r'"([^"]*)"', arguments))
        elif rule in ("ros.validateRange", "ros.validateLength"):
            known.bounds = (_bound(arguments, "min"), _bound(arguments, "max"))
            known.bounds_length = rule == "ros.validateLength"
        elif rule != "ros.validateAllowedPattern":
            kind = _kind(rule)
            known.kind, known.inner, known.struct = kind.kind, kind.inner, kind.struct
    return found


def _bound(arguments: str, which: str) -> float:
    match = re.search(rf"{which}: (-?[\d.]+)", arguments)
    return float(match[1]) if match else float("-inf" if which == "min" else "inf")


def _kind(rule: str) -> Property:
    for wrapper, kind in (("ros.listValidator(", "list"), ("ros.hashValidator(", "map")):
        if rule.startswith(wrapper):
            return Property(kind, inner=_kind(rule.removeprefix(wrapper).removesuffix(")")))
    if rule.startswith("Ros"):
        return Property("struct", struct=re.sub("(^Ros|(Props|Property)Validator$)", "", rule))
    kinds = {"String": "string", "Number": "number", "Boolean": "boolean", "AnyDict": "map"}
    return Property(kinds.get(rule.removeprefix("ros.validate"), "any"))
