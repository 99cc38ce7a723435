"""Makes the text of a release page: what is new, what to read before an upgrade, how to deploy.

The console's deployment link is `<console>/<region>/stacks/create?templateUrl=<address>`, as in the
vendor's own pages and READMEs (help.aliyun.com, *ossutil*: a RAM user by a ROS script; *Global
Accelerator*; the READMEs of its technical solutions). If the region is the word `region`, the
console uses the region that the user visited last, and shows it. The user can change the region.

ROS reads a template of at most 524,288 bytes from OSS, or over http or https. The address of the
template has at most 1,024 bytes (vendor documentation, *ALIYUN::ROS::Stack*: TemplateURL). All of
the vendor's own links name a template on OSS. It is not verified on the real cloud (assumption 79)
whether the console accepts any https address, also with redirects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ops.package import PackageError

CONSOLES = ("https://ros.console.aliyun.com", "https://ros.console.alibabacloud.com")
"""The ROS consoles for accounts of aliyun.com, and for accounts of alibabacloud.com."""

MAX_URL_BYTES = 1024
"""The limit on a templateUrl (vendor documentation)."""

# No user name, password, query or fragment is accepted, because the console's URL contains this
# URL.
_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~%+@-]+)*/?")
_RELATIVE = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")


class Asset(NamedTuple):
    """A file of a release."""

    name: str
    size: int
    """In bytes."""
    sha256: str


class Made(NamedTuple):
    """The commit and the tools that a release was made with."""

    version: str
    commit: str
    date: str
    by: str
    assets: Sequence[Asset]


class Section(NamedTuple):
    """A section of CHANGELOG.md, about one version."""

    text: str
    is_released: bool
    """Whether the version is released. This is False for the section Unreleased."""


def place(env: Mapping[str, str], name: str) -> str:
    """Return the web address that is the value of a variable, without a final slash. If the
    variable is not set, return its name.

    Raises PackageError if the value is not a plain https address, or is too long.
    """
    url = env.get(name) or name
    if url == name:
        return name
    if not _URL.fullmatch(url):
        raise PackageError(
            f"{name}={url}: must be an https:// address of letters, digits and -._~%+@/, "
            "without a query, like https://example.com/sts/v1.1.0. ROS also reads templates over "
            "http, but then an attacker could change the roles in your users' accounts"
        )
    url = url.rstrip("/")
    if len(f"{url}/template.yml") > MAX_URL_BYTES:
        raise PackageError(
            f"{name} has {len(url)} bytes: ROS accepts a templateUrl of at most {MAX_URL_BYTES} "
            "bytes, including /template.yml"
        )
    return url


def links(release_url: str) -> list[str]:
    """Return the deployment links, for accounts of aliyun.com and of alibabacloud.com."""
    query = f"templateUrl={release_url}/template.yml"
    return [f"{console}/region/stacks/create?{query}" for console in CONSOLES]


def section(changelog: str, version: str) -> Section:
    """Return the changelog's section of a version, or Unreleased if the version has no section.
    Raises PackageError if Unreleased is needed, but is missing or names another version in its
    heading. Also raises PackageError if the section to return is empty."""
    found = dict(
        re.findall(r"^## \[(.+?)\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    )
    to_be = re.search(r"^## \[Unreleased\](?:, to be (\S+))?$", changelog, re.MULTILINE)
    is_released = version in found
    if not is_released and (to_be is None or to_be[1] not in (None, version)):
        says = f", and Unreleased is for {to_be[1]}" if to_be else ""
        raise PackageError(
            f"CHANGELOG.md has no section for {version}{says}. Accepted headings: "
            f"`## [{version}] - 2026-12-31`, or `## [Unreleased], to be {version}`"
        )
    name = version if is_released else "Unreleased"
    text = found.get(name, "").strip()
    if not re.search(r"^[-*] \S", text, re.MULTILINE):
        raise PackageError(f"the section [{name}] of CHANGELOG.md must have lines like `- …`")
    return Section(text, is_released)


def notes(made: Made, changelog: Section, upgrade: str, release_url: str, source_url: str) -> str:
    """Return the text of notes.md. Its links lead to `release_url` and `source_url`.

    `upgrade` is the text of docs/upgrade.md. Raises PackageError if this text has no section for
    the version.
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
- **Serverless Devs**: deploy from a checkout of this commit.

[Deploy](docs/deploy.md) describes each way step by step.

## Files

| file | bytes | SHA-256 |
|---|---|---|
{"".join(files)}
`sha256sum --ignore-missing -c SHA256SUMS` checks the files that you have. `make release` at this
commit makes the same bytes, with
{made.by}.

## Upgrade

{rows} rows in [docs/upgrade.md](docs/upgrade.md#{heading}) say what changes for an existing
deployment, and how to keep the old behaviour. Read them first.

## What is new

{changelog.text}
"""
    return _unwrapped(_RELATIVE.sub(rf"]({source_url}/\1)", text))


def _unwrapped(text: str) -> str:
    """Put each paragraph on one line, because pages of releases show every line break."""
    return re.sub(r"(?<=[^\n|])\n *(?![-*#>|\n ])", " ", text.strip()) + "\n"


def _to_fill_in(changelog: Section, release_url: str, source_url: str) -> str:
    """Say what must be done before the text can be published, or return "" if nothing is left."""
    said = []
    if not changelog.is_released:
        said.append("CHANGELOG.md has no section for this version yet, so this is a trial.")
    if release_url == "RELEASE_URL":
        said.append("Replace `RELEASE_URL` by the address of the folder of `template.yml`.")
    if source_url == "SOURCE_URL":
        said.append("Replace `SOURCE_URL` by the address of this commit's files.")
    return "\n> **Do not publish this text yet.** " + " ".join(said) + "\n" if said else ""


def _rows(upgrade: str, name: str) -> tuple[str, int]:
    """Return the anchor of a section of docs/upgrade.md on GitHub, and its number of rows."""
    found = re.search(
        rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", upgrade, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise PackageError(f"docs/upgrade.md must have a section `## {name}` with a table")
    return re.sub(r"[^\w -]", "", name.lower()), len(re.findall("^[|] `", found[1], re.MULTILINE))
