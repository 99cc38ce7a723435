"""Runs the JavaScript of docs/resumable-uploads.md, unchanged, in Chromium with a sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from documented_code import code_with
from javascript import need, run
from running_cloud import RunningCloud, running_cloud
from token_service.signing.multipart import PART_BYTES

FETCH = code_with("js", "resumable-uploads.md", "await list()")
UPPY = code_with("js", "resumable-uploads.md", "signRequest")
REST = 1234


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), AUTH="jwt") as running:
        yield running


def digest_of(cloud: RunningCloud, key: str) -> str:
    digest = hashlib.sha256()
    with cloud.cloud.storage.open(cloud.cloud.bucket, key) as found:
        for chunk in found.chunks(0, found.info.size):
            digest.update(chunk)
    return digest.hexdigest()


def expected(parts: int) -> str:
    """Return the digest of the file that tests/web/resumable.mjs makes."""
    digest = hashlib.sha256()
    for index in range(parts):
        size = PART_BYTES if index < parts - 1 else REST
        digest.update((index + 1).to_bytes(4, "big") + bytes(size - 4))
    return digest.hexdigest()


def upload(cloud: RunningCloud, parts: int, stop_after: list[int]) -> list[dict[str, Any]]:
    need("a resumable upload in a page", browser=True)
    job = {
        "code": FETCH,
        "multipartUrl": f"{cloud.url}/multipart",
        "logins": [cloud.login("alice") for _ in range(3)],
        "file": {
            "name": f"{parts}.mp4",
            "type": "video/mp4",
            "parts": parts,
            "partSize": PART_BYTES,
            "rest": REST,
        },
        "stopAfter": stop_after,
    }
    times: list[dict[str, Any]] = run("resumable.mjs", job)["times"]
    return times


def check(cloud: RunningCloud, parts: int, stop_after: list[int]) -> None:
    first, second, third = upload(cloud, parts, stop_after)
    assert (first["outcome"], second["outcome"]) == ("interrupted", "interrupted")
    assert "Failed to fetch" in second["error"]
    assert (third["outcome"], third["error"]) == ("done", "done"), third["failed"]
    # Parts that OSS had confirmed were not sent again. Parts that were in progress may have been
    # sent twice.
    assert len(first["taken"]) >= stop_after[0]
    assert set(first["taken"]).isdisjoint([*second["sent"], *third["sent"]])
    assert set(second["taken"]).isdisjoint(third["sent"])
    assert len(third["sent"]) <= parts - sum(stop_after)
    key = f"uploads/alice/{parts}.mp4"
    assert digest_of(cloud, key) == expected(parts)
    found = cloud.cloud.storage.find(cloud.cloud.bucket, key)
    assert found is not None
    assert found.headers["content-type"] == "video/mp4"


@pytest.mark.slow
def test_a_page_goes_on_after_a_reload_and_a_lost_connection(cloud: RunningCloud) -> None:
    # The file has 16 parts, so that some parts are not sent yet when the network fails.
    check(cloud, 16, [2, 3])


@pytest.mark.slow
def test_200_megabytes_go_up_although_interrupted_twice(cloud: RunningCloud) -> None:
    check(cloud, 41, [10, 15])


def by_uppy(cloud: RunningCloud, *sizes: int, break_at: int = 0) -> dict[str, Any]:
    """Upload one file of each size with Uppy. All files have the same name."""
    need("Uppy in a page", browser=True)
    job = {
        "code": UPPY,
        "multipartUrl": f"{cloud.url}/multipart",
        "login": cloud.login("alice"),
        "files": [
            {"name": f"uppy-{sizes[0]}.png", "type": "image/png", "size": size} for size in sizes
        ],
        "breakAt": break_at,
    }
    return run("uppy.mjs", job)


@pytest.mark.slow
def test_uppy_uploads_in_parts_and_makes_no_uuid(cloud: RunningCloud) -> None:
    size = PART_BYTES + REST
    made = by_uppy(cloud, size)
    key = f"uploads/alice/uppy-{size}.png"
    assert made["first"]["successful"] == [{"name": f"uppy-{size}.png", "key": key}], made
    assert (made["parts"], made["uuids"]) == ([1, 2], 0)
    found = cloud.cloud.storage.find(cloud.cloud.bucket, key)
    assert found is not None
    assert (found.size, found.headers["content-type"]) == (size, "image/png")
    assert made["kept"] == []


@pytest.mark.slow
def test_uppy_uploads_two_files_of_one_name(cloud: RunningCloud) -> None:
    """Each file is uploaded with its own `Upload`. At the end, the stored object is equal to one of
    the two files, and not a mixture of both."""
    sizes = [REST, 2 * PART_BYTES + 1]
    made = by_uppy(cloud, *sizes)
    name = f"uppy-{REST}.png"
    key = f"uploads/alice/{name}"
    assert made["first"]["successful"] == [{"name": name, "key": key}] * 2, made
    found = cloud.cloud.storage.find(cloud.cloud.bucket, key)
    assert found is not None
    assert found.size in sizes
    assert made["kept"] == []


@pytest.mark.slow
def test_uppy_goes_on_after_a_part_that_failed(cloud: RunningCloud) -> None:
    size = 2 * PART_BYTES + REST
    made = by_uppy(cloud, size, break_at=2)
    key = f"uploads/alice/uppy-{size}.png"
    assert [one["name"] for one in made["first"]["failed"]] == [f"uppy-{size}.png"], made
    assert made["retried"]["successful"] == [{"name": f"uppy-{size}.png", "key": key}]
    found = cloud.cloud.storage.find(cloud.cloud.bucket, key)
    assert found is not None
    assert found.size == size
