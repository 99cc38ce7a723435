"""Gives the real OSS SDKs a common interface, so that a test can run with each SDK.

`refusal` returns how OSS refused an operation. This module makes no retries and no checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import alibabacloud_oss_v2 as v2
import oss2
from alibabacloud_oss_v2.exceptions import OperationError, ServiceError
from oss2.exceptions import OssError
from oss2.models import PartInfo

from running_cloud import Token

SDKS = ("oss2 V1", "oss2 V4", "oss-v2")
PART = 100 * 1024


class Refusal(NamedTuple):
    """OSS's answer. `code` and `ec` are "" if the SDK does not read them (oss2 after HEAD)."""

    status: int
    code: str
    ec: str


class Client(Protocol):
    """The operations that tests do with an SDK. Keys are complete object keys, with the prefix."""

    bucket: str

    def put(self, key: str, data: bytes = b"alice was here") -> object: ...
    def append(self, key: str) -> object: ...
    def get(self, key: str) -> bytes: ...
    def head(self, key: str) -> object: ...
    def meta(self, key: str) -> object: ...
    def copy(self, bucket: str, source: str, key: str) -> object: ...
    def delete(self, key: str) -> object: ...
    def delete_many(self, keys: Sequence[str]) -> object: ...
    def acl(self, key: str) -> object: ...
    def open_to_all(self, key: str) -> object: ...
    def begin(self, key: str) -> str: ...
    def put_part(self, key: str, upload: str) -> object: ...
    def copy_part(self, bucket: str, source: str, key: str, upload: str) -> object: ...
    def parts(self, key: str, upload: str) -> int: ...
    def complete(self, key: str, upload: str) -> object: ...
    def abort(self, key: str, upload: str) -> object: ...
    def resume(self, key: str, file: Path, progress: Callable[[int], None]) -> object: ...
    def list_v1(self, prefix: str | None) -> list[str]: ...
    def list_v2(self, prefix: str | None) -> list[str]: ...
    def uploads(self, prefix: str) -> object: ...
    def bucket_operations(self) -> dict[str, Callable[[], object]]: ...


def client(sdk: str, token: Token, bucket: str = "") -> Client:
    """A client of the SDK with this name (one of SDKS), which uses the token. `bucket` replaces the
    bucket of the token."""
    if sdk == "oss-v2":
        return OssV2(token, bucket)
    return Oss2(token, sdk.rpartition(" ")[2].lower(), bucket)


def refusal(operation: Callable[..., object], *arguments: object) -> Refusal | None:
    """How OSS refused the operation; None if OSS did not refuse it."""
    try:
        operation(*arguments)
    except OssError as error:
        details = error.details if isinstance(error.details, dict) else {}
        return Refusal(error.status, error.code, details.get("EC", ""))
    except OperationError as error:
        cause = error.unwrap()
        assert isinstance(cause, ServiceError), cause
        return Refusal(cause.status_code, cause.code, cause.ec)
    return None


class Oss2:
    """oss2, signing with V1 or V4."""

    def __init__(self, token: Token, version: str, bucket: str = "") -> None:
        self.sdk = token.oss2(version, bucket)
        self.bucket: str = self.sdk.bucket_name

    def put(self, key: str, data: bytes = b"alice was here") -> object:
        return self.sdk.put_object(key, data)

    def append(self, key: str) -> object:
        return self.sdk.append_object(key, 0, b"alice was here")

    def get(self, key: str) -> bytes:
        data: bytes = self.sdk.get_object(key).read()
        return data

    def head(self, key: str) -> object:
        return self.sdk.head_object(key)

    def meta(self, key: str) -> object:
        return self.sdk.get_object_meta(key)

    def copy(self, bucket: str, source: str, key: str) -> object:
        return self.sdk.copy_object(bucket, source, key)

    def delete(self, key: str) -> object:
        return self.sdk.delete_object(key)

    def delete_many(self, keys: Sequence[str]) -> object:
        return self.sdk.batch_delete_objects(list(keys))

    def acl(self, key: str) -> object:
        return self.sdk.get_object_acl(key)

    def open_to_all(self, key: str) -> object:
        return self.sdk.put_object_acl(key, "public-read")

    def begin(self, key: str) -> str:
        upload: str = self.sdk.init_multipart_upload(key).upload_id
        return upload

    def put_part(self, key: str, upload: str) -> object:
        return self.sdk.upload_part(key, upload, 1, b"alice was here")

    def copy_part(self, bucket: str, source: str, key: str, upload: str) -> object:
        return self.sdk.upload_part_copy(bucket, source, None, key, upload, 1)

    def parts(self, key: str, upload: str) -> int:
        return len(self.sdk.list_parts(key, upload).parts)

    def complete(self, key: str, upload: str) -> object:
        return self.sdk.complete_multipart_upload(key, upload, [PartInfo(1, "etag")])

    def abort(self, key: str, upload: str) -> object:
        return self.sdk.abort_multipart_upload(key, upload)

    def resume(self, key: str, file: Path, progress: Callable[[int], None]) -> object:
        return oss2.resumable_upload(
            self.sdk,
            key,
            str(file),
            store=oss2.ResumableStore(root=str(file.parent)),
            multipart_threshold=1,
            part_size=PART,
            num_threads=1,
            progress_callback=lambda consumed, total: progress(consumed),
        )

    def list_v1(self, prefix: str | None) -> list[str]:
        found = self.sdk.list_objects() if prefix is None else self.sdk.list_objects(prefix)
        return [info.key for info in found.object_list]

    def list_v2(self, prefix: str | None) -> list[str]:
        found = self.sdk.list_objects_v2(*([] if prefix is None else [prefix]))
        return [info.key for info in found.object_list]

    def uploads(self, prefix: str) -> object:
        return self.sdk.list_multipart_uploads(prefix=prefix)

    def bucket_operations(self) -> dict[str, Callable[[], object]]:
        sdk = self.sdk
        rule = oss2.models.CorsRule(allowed_origins=["*"], allowed_methods=["GET"])
        return {
            "info": sdk.get_bucket_info,
            "location": sdk.get_bucket_location,
            "ACL": sdk.get_bucket_acl,
            "open it": lambda: sdk.put_bucket_acl("public-read"),
            "CORS": sdk.get_bucket_cors,
            "change CORS": lambda: sdk.put_bucket_cors(oss2.models.BucketCors([rule])),
            "delete CORS": sdk.delete_bucket_cors,
            "delete it": sdk.delete_bucket,
            "list buckets": oss2.Service(sdk.auth, sdk.endpoint, region=sdk.region).list_buckets,
        }


class OssV2:
    """alibabacloud-oss-v2, which signs with V4."""

    def __init__(self, token: Token, bucket: str = "") -> None:
        self.sdk = token.oss_v2()
        self.bucket = bucket or token.bucket

    def put(self, key: str, data: bytes = b"alice was here") -> object:
        return self.sdk.put_object(v2.PutObjectRequest(self.bucket, key, body=data))

    def append(self, key: str) -> object:
        request = v2.AppendObjectRequest(self.bucket, key, position=0, body=b"alice was here")
        return self.sdk.append_object(request)

    def get(self, key: str) -> bytes:
        data: bytes = self.sdk.get_object(v2.GetObjectRequest(self.bucket, key)).body.content
        return data

    def head(self, key: str) -> object:
        return self.sdk.head_object(v2.HeadObjectRequest(self.bucket, key))

    def meta(self, key: str) -> object:
        return self.sdk.get_object_meta(v2.GetObjectMetaRequest(self.bucket, key))

    def copy(self, bucket: str, source: str, key: str) -> object:
        request = v2.CopyObjectRequest(self.bucket, key, source_bucket=bucket, source_key=source)
        return self.sdk.copy_object(request)

    def delete(self, key: str) -> object:
        return self.sdk.delete_object(v2.DeleteObjectRequest(self.bucket, key))

    def delete_many(self, keys: Sequence[str]) -> object:
        objects = [v2.DeleteObject(key) for key in keys]
        request = v2.DeleteMultipleObjectsRequest(self.bucket, objects=objects)
        return self.sdk.delete_multiple_objects(request)

    def acl(self, key: str) -> object:
        return self.sdk.get_object_acl(v2.GetObjectAclRequest(self.bucket, key))

    def open_to_all(self, key: str) -> object:
        return self.sdk.put_object_acl(v2.PutObjectAclRequest(self.bucket, key, acl="public-read"))

    def begin(self, key: str) -> str:
        request = v2.InitiateMultipartUploadRequest(self.bucket, key)
        upload: str = self.sdk.initiate_multipart_upload(request).upload_id
        return upload

    def put_part(self, key: str, upload: str) -> object:
        request = v2.UploadPartRequest(self.bucket, key, 1, upload, body=b"alice was here")
        return self.sdk.upload_part(request)

    def copy_part(self, bucket: str, source: str, key: str, upload: str) -> object:
        request = v2.UploadPartCopyRequest(
            self.bucket, key, 1, upload, source_bucket=bucket, source_key=source
        )
        return self.sdk.upload_part_copy(request)

    def parts(self, key: str, upload: str) -> int:
        found = self.sdk.list_parts(v2.ListPartsRequest(self.bucket, key, upload))
        return len(found.parts or [])

    def complete(self, key: str, upload: str) -> object:
        parts = v2.CompleteMultipartUpload(parts=[v2.UploadPart(part_number=1, etag="etag")])
        request = v2.CompleteMultipartUploadRequest(
            self.bucket, key, upload, complete_multipart_upload=parts
        )
        return self.sdk.complete_multipart_upload(request)

    def abort(self, key: str, upload: str) -> object:
        request = v2.AbortMultipartUploadRequest(self.bucket, key, upload)
        return self.sdk.abort_multipart_upload(request)

    def resume(self, key: str, file: Path, progress: Callable[[int], None]) -> object:
        uploader = self.sdk.uploader(
            part_size=PART, parallel_num=1, enable_checkpoint=True, checkpoint_dir=str(file.parent)
        )
        request = v2.PutObjectRequest(
            self.bucket, key, progress_fn=lambda number, written, total: progress(written)
        )
        return uploader.upload_file(request, str(file))

    def list_v1(self, prefix: str | None) -> list[str]:
        found = self.sdk.list_objects(v2.ListObjectsRequest(self.bucket, prefix=prefix))
        return [info.key for info in found.contents or []]

    def list_v2(self, prefix: str | None) -> list[str]:
        found = self.sdk.list_objects_v2(v2.ListObjectsV2Request(self.bucket, prefix=prefix))
        return [info.key for info in found.contents or []]

    def uploads(self, prefix: str) -> object:
        request = v2.ListMultipartUploadsRequest(self.bucket, prefix=prefix)
        return self.sdk.list_multipart_uploads(request)

    def bucket_operations(self) -> dict[str, Callable[[], object]]:
        sdk, bucket = self.sdk, self.bucket
        rules = [v2.CORSRule(allowed_origins=["*"], allowed_methods=["GET"])]
        cors = v2.CORSConfiguration(cors_rules=rules)
        return {
            "info": lambda: sdk.get_bucket_info(v2.GetBucketInfoRequest(bucket)),
            "location": lambda: sdk.get_bucket_location(v2.GetBucketLocationRequest(bucket)),
            "ACL": lambda: sdk.get_bucket_acl(v2.GetBucketAclRequest(bucket)),
            "open it": lambda: sdk.put_bucket_acl(v2.PutBucketAclRequest(bucket, "public-read")),
            "CORS": lambda: sdk.get_bucket_cors(v2.GetBucketCorsRequest(bucket)),
            "change CORS": lambda: sdk.put_bucket_cors(v2.PutBucketCorsRequest(bucket, cors)),
            "delete CORS": lambda: sdk.delete_bucket_cors(v2.DeleteBucketCorsRequest(bucket)),
            "delete it": lambda: sdk.delete_bucket(v2.DeleteBucketRequest(bucket)),
            "list buckets": lambda: sdk.list_buckets(v2.ListBucketsRequest()),
        }
