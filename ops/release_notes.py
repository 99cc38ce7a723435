"""The text of a release page: what is new, what to read before an upgrade, how to deploy.

The console's deployment link is `<console>/<region>/stacks/create?templateUrl=<address>`, as in the
vendor's own pages and READMEs (help.aliyun.com, *ossutil*: a RAM user by a ROS script; *Global
Accelerator*; the READMEs of its technical solutions). With the word `region` in the region's place
the console takes the region that its user visited last, and shows it to be changed.

ROS reads a template of at most 524,288 bytes from OSS or over http and https, at an address of at
most 1,024 bytes (vendor documentation, *ALIYUN::ROS::Stack*: TemplateURL). All addresses in the
vendor's links lie in OSS. That the console takes the file from any https address, through redirects
too, is not verified on the real cloud (assumption 79).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ops.package import PackageError

CONSOLES = ("https://ros.console.aliyun.com", "https://ros.console.alibabacloud.com")
"""For accounts of aliyun.com, and of alibabacloud.com."""

MAX_URL_BYTES = 1024
"""Of a templateUrl (vendor documentation)."""

# No name and password, no query, no fragment: it is put into another address as it is.
_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~%+@-]+)*/?")
_RELATIVE = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")


class Asset(NamedTuple):
    """A file of a release."""

    name: str
    size: int
    """In bytes."""
    sha256: str


class Made(NamedTuple):
    """What a release is made of, and by what."""

    version: str
    commit: str
    date: str
    by: str
    assets: Sequence[Asset]


class Section(NamedTuple):
    """What CHANGELOG.md says of one version."""

    text: str
    is_released: bool
    """False where it stands under Unreleased."""


def place(env: Mapping[str, str], name: str) -> str:
    """The address of a variable, without a slash at its end; its name where it is not set.

    Raises PackageError for one that is no plain https address, or too long.
    """
    url = env.get(name) or name
    if url == name:
        return name
    if not _URL.fullmatch(url):
        raise PackageError(
            f"{name}={url}: accepted is an https:// address of letters, digits and -._~%+@/, "
            "without a query, like https://example.com/sts/v1.1.0. ROS reads a template over http "
            "as well; but who changes it on the way has a say in the roles of your users' accounts"
        )
    url = url.rstrip("/")
    if len(f"{url}/template.yml") > MAX_URL_BYTES:
        raise PackageError(
            f"{name} has {len(url)} bytes: ROS takes a templateUrl of {MAX_URL_BYTES} at most, "
            "and /template.yml has to fit"
        )
    return url


def links(release_url: str) -> list[str]:
    """The deployment links, for accounts of aliyun.com and of alibabacloud.com."""
    query = f"templateUrl={release_url}/template.yml"
    return [f"{console}/region/stacks/create?{query}" for console in CONSOLES]


def section(changelog: str, version: str) -> Section:
    """What the changelog says of a version; of Unreleased, where it is to be that version and has
    no section yet. Raises PackageError where neither is there, or nothing is in it."""
    found = dict(
        re.findall(r"^## \[(.+?)\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    )
    to_be = re.search(r"^## \[Unreleased\](?:, to be (\S+))?$", changelog, re.MULTILINE)
    is_released = version in found
    if not is_released and (to_be is None or to_be[1] not in (None, version)):
        says = f"; Unreleased is to be {to_be[1]}" if to_be else ""
        raise PackageError(
            f"CHANGELOG.md has no section for {version}{says}. Accepted: "
            f"## [{version}] - 2026-12-31, or ## [Unreleased], to be {version}"
        )
    name = version if is_released else "Unreleased"
    text = found.get(name, "").strip()
    if not re.search(r"^[-*] \S", text, re.MULTILINE):
        raise PackageError(f"the section [{name}] of CHANGELOG.md has no notes: one line each, - …")
    return Section(text, is_released)


def notes(made: Made, changelog: Section, upgrade: str, release_url: str, source_url: str) -> str:
    """The text of notes.md, whose links lead to `release_url` and `source_url`.

    `upgrade` is docs/upgrade.md. Raises PackageError where it has no section for the version.
    """
    aliyun, alibabacloud = links(release_url)
    heading, rows = _rows(upgrade, made.version if changelog.is_released else "Unreleased")
    archive = next(each.name for each in made.assets if each.name.endswith(".zip"))
    files = [f"| `{each.name}` | {each.size:,} | `{each.sha256}` |\n" for each in made.assets]
    text = f"""\
# token_service {made.version}
{_to_fill_in(changelog, release_url, source_url)}
Commit `{made.commit}` of {made.date}, under the [MIT licence](LICENSE).

## Deploy

- **With a browser**: create the stack in the console of [aliyun.com]({aliyun}) or of
  [alibabacloud.com]({alibabacloud}). Or download `template.yml`, and upload it in the ROS console
  under *Create Stack*.
- **A function that exists**: upload `{archive}`.
- **Serverless Devs**: it takes a checkout of this commit.

[What each way needs](docs/deploy.md), step by step.

## Files

| file | bytes | SHA-256 |
|---|---|---|
{"".join(files)}
`sha256sum --ignore-missing -c SHA256SUMS` compares those that you have. `make release` at this
commit makes the same bytes, with
{made.by}.

## Upgrade

{rows} rows say what a deployment that exists notices, and what keeps the old behaviour:
[docs/upgrade.md](docs/upgrade.md#{heading}). Read them first.

## What is new

{changelog.text}
"""
    return _unwrapped(_RELATIVE.sub(rf"]({source_url}/\1)", text))


def _unwrapped(text: str) -> str:
    """Each paragraph on one line: pages of releases show every line break."""
    return re.sub(r"(?<=[^\n|])\n *(?![-*#>|\n ])", " ", text.strip()) + "\n"


def _to_fill_in(changelog: Section, release_url: str, source_url: str) -> str:
    """What has to be done with the text before others read it; "" for nothing."""
    said = []
    if not changelog.is_released:
        said.append("CHANGELOG.md has no section for this version yet: this is a trial.")
    if release_url == "RELEASE_URL":
        said.append("Put the address of the folder of `template.yml` for `RELEASE_URL`.")
    if source_url == "SOURCE_URL":
        said.append("Put the address of this commit's files for `SOURCE_URL`.")
    return "\n> **Not to be published so.** " + " ".join(said) + "\n" if said else ""


def _rows(upgrade: str, name: str) -> tuple[str, int]:
    """The anchor of a section of docs/upgrade.md, as GitHub names it, and its number of rows."""
    found = re.search(
        rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", upgrade, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise PackageError(f"docs/upgrade.md has no section ## {name}, with the rows to read first")
    return re.sub(r"[^\w -]", "", name.lower()), len(re.findall("^[|] `", found[1], re.MULTILINE))
