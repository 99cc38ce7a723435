"""Image processing over HTTP with the real SDKs, and the decoding and encoding of images."""

from __future__ import annotations

import io
import json
import random
import struct
import time
import warnings
import zlib
from email.utils import formatdate
from pathlib import Path
from typing import Any

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
import requests
from alibabacloud_oss_v2.exceptions import OperationError, ServiceError
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    close,
    corners,
    encoded,
    made,
    opened,
    or_refused,
    pixel,
    png_of_zeros,
    quarters,
    text,
)
from running_oss import BUCKET, Oss, policy
from sandbox.identities import SessionCredentials
from sandbox.oss import images
from sandbox.oss.errors import OssError
from sandbox.oss.image_instructions import parse
from sandbox.oss.images import process
from signature_versions import every_version

PHOTO = encoded(quarters(400, 200), "JPEG", quality=95)
READ = policy({"Action": "oss:GetObject", "Resource": f"acs:oss:*:*:{BUCKET}/mine/*"})
WRITE = policy({"Action": "oss:PutObject", "Resource": "acs:oss:*:*:*"})
KEY = "mine/photo ü+.jpg"


@pytest.fixture
def photo(oss: Oss) -> SessionCredentials:
    """A photo at KEY, and credentials that may read it."""
    oss.oss2().put_object(KEY, PHOTO, {"Content-Type": "image/jpeg"})
    return oss.session(READ)


def refusal(source: bytes, actions: str) -> OssError:
    with pytest.raises(OssError) as error:
        process(source, parse(f"image/{actions}"))
    return error.value


# With the SDKs


@every_version
def test_oss2_gets_a_thumbnail(
    oss: Oss, photo: SessionCredentials, version: str, tmp_path: Path
) -> None:
    bucket = oss.oss2(photo, version=version)
    assert bucket.enable_crc
    got = bucket.get_object(KEY, process="image/resize,w_100/format,png")
    body = got.read()
    assert opened(body).size == (100, 50)
    assert corners(opened(body))[0][0] > 240
    assert (got.status, got.content_type) == (200, "image/png")
    assert got.content_length == len(body)
    assert got.server_crc is None
    # get_object_to_file() compares the CRC of the bytes with the CRC in the answer. If the answer
    # had the CRC of the stored picture, get_object_to_file() would fail.
    bucket.get_object_to_file(KEY, str(tmp_path / "small"), process="image/resize,w_100")
    assert opened((tmp_path / "small").read_bytes()).size == (100, 50)


@every_version
def test_a_url_signed_by_oss2_gets_a_thumbnail_and_no_other(
    oss: Oss, photo: SessionCredentials, version: str
) -> None:
    params = {"x-oss-process": "image/resize,w_100"}
    url = oss.oss2(photo, version=version).sign_url("GET", KEY, 60, params=params, slash_safe=True)
    with requests.get(url, timeout=10) as answer:
        assert (answer.status_code, opened(answer.content).size) == (200, (100, 50))
    for other in (url.replace("w_100", "w_200"), url.replace("resize", "rotate")):
        with requests.get(other, timeout=10) as answer:
            assert (answer.status_code, b"SignatureDoesNotMatch" in answer.content) == (403, True)


def test_a_signed_url_without_instructions_takes_none(oss: Oss, photo: SessionCredentials) -> None:
    url = oss.oss2(photo, version="v4").sign_url("GET", KEY, 60)
    with requests.get(f"{url}&x-oss-process=image/info", timeout=10) as answer:
        assert answer.status_code == 403


def test_oss_v2_gets_a_thumbnail(oss: Oss, photo: SessionCredentials) -> None:
    wanted = oss_v2.GetObjectRequest(
        bucket=BUCKET, key=KEY, process="image/resize,m_fill,w_50,h_50"
    )
    got = oss.oss_v2(photo).get_object(wanted)
    # The body is read to the end, because the SDK compares CRCs there.
    assert opened(got.body.content).size == (50, 50)
    assert (got.content_type, got.hash_crc64) == ("image/jpeg", None)


def test_a_url_presigned_by_oss_v2_gets_a_thumbnail(oss: Oss, photo: SessionCredentials) -> None:
    wanted = oss_v2.GetObjectRequest(bucket=BUCKET, key=KEY, process="image/rotate,90")
    signed = oss.oss_v2(photo).presign(wanted)
    with requests.get(signed.url, headers=signed.signed_headers, timeout=10) as answer:
        assert opened(answer.content).size == (200, 400)


@every_version
def test_info_tells_size_and_format_in_strings(
    oss: Oss, photo: SessionCredentials, version: str
) -> None:
    got = oss.oss2(photo, version=version).get_object(KEY, process="image/info")
    assert got.content_type == "application/json"
    found = json.loads(got.read())
    wanted = {"FileSize": str(len(PHOTO)), "Format": "jpg", "ImageHeight": "200"}
    assert found.items() >= {name: {"value": value} for name, value in wanted.items()}.items()
    assert found["ImageWidth"] == {"value": "400"}


def test_a_public_image_needs_no_signature(oss: Oss, photo: SessionCredentials) -> None:
    oss.oss2().put_object_acl(KEY, oss2.OBJECT_ACL_PUBLIC_READ)
    path = f"/{BUCKET}/mine/photo%20%C3%BC%2B.jpg?x-oss-process=image/resize,w_10"
    status, headers, body = oss.raw("GET", path)
    assert (status, headers["content-type"], opened(body).size) == (200, "image/jpeg", (10, 5))


# Who may process an image


def test_processing_needs_the_right_to_read(oss: Oss, photo: SessionCredentials) -> None:
    for credentials, key in ((oss.session(WRITE), KEY), (photo, "theirs/a.jpg")):
        with pytest.raises(oss2.exceptions.AccessDenied):
            oss.oss2(credentials).get_object(key, process="image/info")
        wanted = oss_v2.GetObjectRequest(bucket=BUCKET, key=key, process="image/info")
        with pytest.raises(OperationError) as error:
            oss.oss_v2(credentials).get_object(wanted)
        cause = error.value.unwrap()
        assert isinstance(cause, ServiceError)
        assert cause.code == "AccessDenied"


def test_nothing_is_read_or_processed_for_who_may_not(oss: Oss) -> None:
    # Each of these requests also fails for a client that may read the objects, but with another
    # error. So AccessDenied shows that OSS checked the rights first.
    oss.oss2().put_object("mine/text", b"no image")
    oss.oss2().put_object("mine/bomb", png_of_zeros(20_000, 10_000))
    for key, value in (
        ("mine/text", "image/resize,w_10"),
        ("mine/bomb", "image/resize,w_10"),
        ("mine/text", "image/nonsense"),
        ("mine/missing", "image/info"),
    ):
        with pytest.raises(oss2.exceptions.AccessDenied):
            oss.oss2(oss.session(WRITE)).get_object(key, process=value)
        with pytest.raises(oss2.exceptions.OssError) as error:
            oss.oss2(oss.session(READ)).get_object(key, process=value)
        assert error.value.code != "AccessDenied"


# The answer's head


def test_the_etag_is_the_objects_and_so_are_the_conditions(
    oss: Oss, photo: SessionCredentials
) -> None:
    bucket = oss.oss2(photo)
    stored = bucket.head_object(KEY)
    got = bucket.get_object(KEY, process="image/resize,w_10")
    assert (got.etag, got.last_modified) == (stored.etag, stored.last_modified)
    matching = {"If-None-Match": f'"{stored.etag}"'}
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object(KEY, headers=matching, process="image/resize,w_10")
    later = {"If-Modified-Since": formatdate(time.time() + 60, usegmt=True)}
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object(KEY, headers=later, process="image/resize,w_10")
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.get_object(KEY, headers={"If-Match": '"other"'}, process="image/resize,w_10")


def test_a_range_is_answered_with_the_whole(oss: Oss, photo: SessionCredentials) -> None:
    bucket = oss.oss2(photo)
    got = bucket.get_object(KEY, byte_range=(0, 9), process="image/resize,w_10")
    assert (got.status, opened(got.read()).size) == (200, (10, 5))
    assert "Content-Range" not in got.headers
    standard = {"x-oss-range-behavior": "standard", "Range": "bytes=999999-"}
    assert bucket.get_object(KEY, headers=standard, process="image/info").status == 200


@pytest.mark.parametrize("value", ["image/resize,w_10/format,webp", "image/info"])
def test_head_tells_what_get_would(oss: Oss, photo: SessionCredentials, value: str) -> None:
    told = oss.oss2(photo).head_object(KEY, params={"x-oss-process": value})
    got = oss.oss2(photo).get_object(KEY, process=value)
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified"):
        assert told.headers[name] == got.headers[name]
    assert "x-oss-hash-crc64ecma" not in told.headers


def test_the_objects_headers_go_along_but_not_its_encoding(oss: Oss) -> None:
    sent = {"x-oss-meta-by": "me", "Cache-Control": "max-age=9", "Content-Encoding": "gzip"}
    oss.oss2().put_object("a", PHOTO, {**sent, "Content-Type": "text/html"})
    params = {
        "x-oss-process": "image/resize,w_10",
        "response-content-disposition": 'attachment; filename="small.jpg"',
    }
    url = oss.oss2().sign_url("GET", "a", 60, params=params)
    with requests.get(url, timeout=10) as answer:
        assert opened(answer.content).size == (10, 5)
        assert answer.headers["x-oss-meta-by"] == "me"
        assert answer.headers["Cache-Control"] == "max-age=9"
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="small.jpg"'
        assert "Content-Encoding" not in answer.headers


# Refusals over the wire


@pytest.mark.parametrize(
    ("value", "status", "code", "ec"),
    [
        ("image/resize,w_0", 400, "InvalidArgument", "0040-00000312"),
        ("image/slim,1", 400, "InvalidArgument", "0040-00000213"),
        ("image", 400, "InvalidArgument", "0040-00000212"),
        ("image/<&>\0\ufffd", 400, "InvalidArgument", "0040-00000213"),
        ("image/crop,x_400", 400, "BadRequest", ""),
        ("image/resize,w_5000,h_5000,m_fixed,limit_0", 400, "ImageTooLarge", "0040-00000007"),
        ("image/blur,r_3,s_2", 400, "NotImplemented", ""),
        ("image/resize,w_9|sys/saveas,o_YQ,b_YQ", 400, "NotImplemented", ""),
        ("video/snapshot,t_7000,f_jpg", 400, "NotImplemented", ""),
        ("style/small", 400, "NotImplemented", ""),
        ("sys/saveas,o_YQ,b_YQ", 400, "NotImplemented", ""),
        ("IMAGE/info", 400, "NotImplemented", ""),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_refuses_in_osss_form(
    oss: Oss, photo: SessionCredentials, method: str, value: str, status: int, code: str, ec: str
) -> None:
    bucket = oss.oss2(photo)
    send = {"GET": bucket.get_object, "HEAD": bucket.head_object}[method]
    with pytest.raises(oss2.exceptions.OssError) as error:
        send(KEY, params={"x-oss-process": value})
    assert error.value.status == status
    if method == "GET":
        assert (error.value.code, error.value.details.get("EC", "")) == (code, ec)


def test_saving_what_was_made_is_not_implemented(oss: Oss, photo: SessionCredentials) -> None:
    with pytest.raises(oss2.exceptions.OssError) as error:
        oss.oss2().process_object(KEY, "image/resize,w_1|sys/saveas,o_YQ,b_YQ")
    assert (error.value.status, error.value.code) == (400, "NotImplemented")
    url = oss.oss2().sign_url("PUT", KEY, 60, params={"x-oss-process": "image/info"})
    assert oss.raw("PUT", url[url.index("/", 8) :], body=b"other")[0] == 400
    assert oss.oss2().get_object(KEY).read() == PHOTO


@pytest.mark.parametrize("query", ["acl", "objectMeta", "uploadId=x", "symlink"])
def test_instructions_beside_another_operation_are_refused(oss: Oss, query: str) -> None:
    name, _, value = query.partition("=")
    params = {name: value, "x-oss-process": "image/info"}
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        # oss2 adds the signature to the given dict, so it gets a copy.
        url = oss.oss2().sign_url(method, "a", 60, params=dict(params))
        assert oss.raw(method, url[url.index("/", 8) :])[0] == 400


def test_what_is_no_image_is_refused(oss: Oss) -> None:
    oss.oss2().put_object("text", b"Hello, this is no image.")
    for value in ("image/resize,w_50", "image/info"):
        with pytest.raises(oss2.exceptions.OssError) as error:
            oss.oss2().get_object("text", process=value)
        assert (error.value.status, error.value.code) == (400, "BadRequest")
        assert error.value.message == "This image format is not supported."
        assert error.value.details["EC"] == "0040-00000005"
    with pytest.raises(oss2.exceptions.NoSuchKey):
        oss.oss2().get_object("missing", process="image/info")


def test_a_source_of_more_than_20_mb_is_refused_unread(oss: Oss) -> None:
    oss.oss2().put_object("large", PHOTO + bytes(images.MAX_SOURCE_BYTES))
    with pytest.raises(oss2.exceptions.OssError) as error:
        oss.oss2().get_object("large", process="image/info")
    assert (error.value.code, error.value.details["EC"]) == ("ImageTooLarge", "0040-00000001")
    assert refusal(PHOTO + bytes(images.MAX_SOURCE_BYTES), "info").code == "ImageTooLarge"


# Formats


@pytest.mark.parametrize("source", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("wanted", "found", "content_type"),
    [
        ("jpg", "JPEG", "image/jpeg"),
        ("png", "PNG", "image/png"),
        ("webp", "WEBP", "image/webp"),
        ("bmp", "BMP", "image/bmp"),
        ("tiff", "TIFF", "image/tiff"),
    ],
)
def test_converts_every_format_to_every_other(
    source: str, wanted: str, found: str, content_type: str
) -> None:
    answer = process(encoded(quarters(64, 64), source), parse(f"image/format,{wanted}"))
    assert answer.content_type == content_type
    image = opened(answer.body)
    assert (image.format, image.size) == (found, (64, 64))
    assert all(map(close, corners(image.convert("RGB")), (RED, GREEN, BLUE, WHITE), [24] * 4))


@pytest.mark.parametrize("source", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_keeps_the_sources_format_unless_told_other(source: str) -> None:
    body = encoded(quarters(), source)
    assert made(body, "resize,w_50").format == source
    # Only a GIF can be converted to GIF.
    assert made(body, "format,gif").format == source


@pytest.mark.parametrize(
    "source",
    [
        encoded(Image.new("RGBA", (20, 10), (255, 0, 0, 0))),
        encoded(Image.new("LA", (20, 10), (0, 0))),
        encoded(Image.new("P", (20, 10)), transparency=0),
        encoded(Image.new("RGB", (20, 10)), transparency=(0, 0, 0)),
        encoded(Image.new("RGBA", (20, 10)), "WEBP", lossless=True),
        encoded(Image.new("P", (20, 10)), "GIF", transparency=0),
    ],
)
def test_what_is_transparent_stays_so_and_is_white_in_a_jpeg(source: bytes) -> None:
    assert pixel(made(source, "resize,w_10/format,png"), 4, 2)[3] == 0
    assert pixel(made(source, "resize,w_10/format,webp"), 4, 2)[3] == 0
    assert pixel(made(source, "resize,w_10/format,jpg"), 4, 2) == WHITE


def test_half_transparent_red_is_pink_in_a_jpeg() -> None:
    source = encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 128)))
    assert close(pixel(made(source, "format,jpg"), 8, 8), (255, 127, 127))
    assert pixel(made(source, "resize,w_8"), 4, 4) == (255, 0, 0, 128)


@pytest.mark.parametrize(
    ("image", "name", "wanted"),
    [
        (Image.new("1", (8, 8), 1), "PNG", WHITE),
        (Image.new("L", (8, 8), 100), "PNG", (100, 100, 100)),
        # The value 0x6400 with 16 bits for each channel is the value 100 with 8 bits.
        (Image.new("I;16", (8, 8), 0x6400), "PNG", (100, 100, 100)),
        (Image.new("I;16", (8, 8), 0x6400), "TIFF", (100, 100, 100)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        (Image.new("L", (8, 8), 100), "JPEG", (100, 100, 100)),
    ],
)
def test_takes_other_depths_and_colour_models(
    image: Image.Image, name: str, wanted: tuple[int, ...]
) -> None:
    assert close(pixel(made(encoded(image, name), "resize,w_4/format,png"), 2, 2), wanted, 2)


def photo_turned(orientation: int, size: tuple[int, int] = (400, 200), **options: Any) -> bytes:
    """Return a JPEG of the picture quarters(), turned or mirrored. With its EXIF orientation
    applied, it looks like quarters() again."""
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    image = quarters(*size)
    for turn in undo.get(orientation, []):
        image = image.transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Somebody"
    return encoded(image, "JPEG", quality=95, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_data_say_before_all_else(orientation: int) -> None:
    source = photo_turned(orientation)
    for actions in ("resize,w_100", "resize,w_100/auto-orient,1", "auto-orient,1/resize,w_100"):
        image = made(source, f"{actions}/format,png")
        assert image.size == (100, 50)
        assert all(map(close, corners(image), (RED, GREEN, BLUE, WHITE), [24] * 4))
        assert not image.getexif()
    lying = made(source, "resize,l_100/auto-orient,0")
    assert lying.size == ((50, 100) if orientation > 4 else (100, 50))
    assert not lying.getexif()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_senseless_orientation_is_none(orientation: int) -> None:
    assert made(photo_turned(orientation), "resize,w_100").size == (100, 50)


def test_a_large_photo_is_turned_only_if_it_is_made_smaller_first() -> None:
    source = photo_turned(6, (16, 5000))
    assert refusal(source, "resize,h_100").message == (
        "Picture exceed the maximum allowable rotation range."
    )
    assert made(source, "auto-orient,0/resize,w_500/rotate,90").size == (2, 500)
    assert made(photo_turned(1, (16, 5000)), "resize,h_500").size == (2, 500)


def test_info_tells_exif_data_but_not_of_a_png() -> None:
    found = json.loads(process(photo_turned(6), parse("image/info")).body)
    assert (found["Orientation"], found["Make"]) == ({"value": "6"}, {"value": "Somebody"})
    # The size is that of the stored image, not of the turned image.
    assert (found["ImageWidth"], found["ImageHeight"]) == ({"value": "200"}, {"value": "400"})
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 96.0
    png = json.loads(process(encoded(quarters(), exif=exif), parse("image/info")).body)
    assert "Orientation" not in png
    jpeg = json.loads(process(encoded(quarters(), "JPEG", exif=exif), parse("image/info")).body)
    assert jpeg["XResolution"] == {"value": "96/1"}


def test_quality_is_relative_or_an_upper_bound() -> None:
    noise = Image.effect_noise((128, 128), 60)
    low, high = encoded(noise, "JPEG", quality=50), encoded(noise, "JPEG", quality=95)

    def size(source: bytes, actions: str) -> int:
        return len(process(source, parse(f"image/{actions}")).body)

    assert size(high, "quality,Q_20") < size(high, "quality,Q_60") < size(high, "quality,Q_95")
    # The source's quality is 50. For q_80 the result is 80% of 50, which is 40. For Q_90 the result
    # is 50, because 90 is higher than the source's quality.
    assert size(low, "quality,q_80") == size(low, "quality,Q_40")
    assert size(low, "quality,Q_90") == size(low, "quality,Q_50")
    assert size(high, "quality,q_100") == size(high, "quality,Q_95")
    webp = encoded(noise, "WEBP", quality=50)
    assert size(webp, "quality,q_90") == size(webp, "quality,Q_90")
    png = encoded(noise)
    assert size(png, "quality,q_1") == size(png, "resize,p_100")


def test_interlace_makes_a_progressive_jpeg() -> None:
    assert made(PHOTO, "interlace,1").info.get("progressive")
    assert not made(PHOTO, "interlace,0").info.get("progressive")
    assert made(encoded(quarters()), "interlace,1").format == "PNG"


# Animations


def moving(name: str = "GIF", size: tuple[int, int] = (200, 100), **options: Any) -> bytes:
    frames = [Image.new("RGB", size, color) for color in (RED, GREEN, BLUE)]
    return encoded(
        frames[0],
        name,
        save_all=True,
        append_images=frames[1:],
        duration=[100, 200, 300],
        **options,
    )


@pytest.mark.parametrize(
    ("actions", "size"),
    [
        ("resize,w_50", (50, 25)),
        ("resize,m_pad,w_50,h_50", (50, 50)),
        ("crop,w_30,h_20", (30, 20)),
        (f"watermark,text_{text('Hi')}", (200, 100)),
        ("resize,w_50/format,gif", (50, 25)),
        # An animation cannot be enlarged.
        ("resize,w_400,limit_0", (200, 100)),
    ],
)
def test_an_animation_goes_on_moving(actions: str, size: tuple[int, int]) -> None:
    source = moving(loop=4)
    answer = process(source, parse(f"image/{actions}"))
    image = Image.open(io.BytesIO(answer.body))
    assert (answer.content_type, image.size, image.info["loop"]) == ("image/gif", size, 4)
    found = []
    for place, color in enumerate((RED, GREEN, BLUE)):
        image.seek(place)
        x, y = size[0] // 2, size[1] // 2
        found.append((close(pixel(image, x, y)[:3], color), image.info["duration"]))
    assert found == [(True, 100), (True, 200), (True, 300)]
    with pytest.raises(EOFError):
        image.seek(3)


@pytest.mark.parametrize("actions", ["rotate,90", "resize,p_50", "quality,q_50", "format,png"])
def test_other_actions_leave_its_first_picture(actions: str) -> None:
    image = made(moving(), actions)
    assert not getattr(image, "is_animated", False)
    assert close(pixel(image, 9, 9)[:3], RED)


def test_info_counts_the_pictures() -> None:
    for source, count in ((moving(), "3"), (PHOTO, "1")):
        assert json.loads(process(source, parse("image/info")).body)["FrameCount"] == {
            "value": count
        }


def test_of_a_png_or_tiff_that_holds_several_the_first_is_taken() -> None:
    for name in ("PNG", "TIFF"):
        options = {} if name == "PNG" else {"compression": "tiff_lzw"}
        assert made(encoded(quarters(), name, **options), "resize,w_50").size == (50, 25)
        assert close(pixel(made(moving(name), "resize,w_50"), 9, 9), RED)


def test_a_moving_webp_is_refused_as_real_oss_does() -> None:
    error = refusal(moving("WEBP"), "resize,w_50")
    assert (error.code, error.message) == ("BadWebPImage", "The webp image file may be damaged.")


def test_a_phones_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    source = encoded(quarters(), "MPO", save_all=True, append_images=[quarters(20, 10)])
    assert opened(source).format == "MPO"
    assert made(source, "resize,w_50").format == "JPEG"
    assert json.loads(process(source, parse("image/info")).body)["Format"] == {"value": "jpg"}


# Bombs


def test_a_png_that_unpacks_to_too_much_is_refused_before() -> None:
    # The file has 200 million pixels in about 30 KB. image/info still reports its size.
    bomb = png_of_zeros(20_000, 10_000)
    assert len(bomb) < 100_000
    error = refusal(bomb, "resize,w_10")
    assert (error.code, error.ec) == ("ImageTooLarge", "0040-00000012")
    assert b'"20000"' in process(bomb, parse("image/info")).body


@pytest.mark.parametrize("width", [30_000, 100_000, 2**31 - 1])
def test_a_head_that_claims_far_too_much_is_refused(width: int) -> None:
    whole = png_of_zeros(8, 8)
    body = whole[12:16] + struct.pack(">II", width, width) + whole[24:29]
    claimed = whole[:12] + body + struct.pack(">I", zlib.crc32(body)) + whole[33:]
    for actions in ("info", "resize,w_10"):
        assert refusal(claimed, actions).code in ("ImageTooLarge", "BadRequest")


def test_a_gif_that_claims_a_large_screen_is_refused() -> None:
    gif = bytearray(encoded(Image.new("P", (1, 1)), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    assert refusal(bytes(gif), "resize,w_10").code == "ImageTooLarge"


def test_too_long_a_side_is_refused() -> None:
    assert made(encoded(Image.new("1", (30_000, 1))), "resize,w_100").size == (100, 1)
    assert refusal(encoded(Image.new("1", (30_001, 1))), "resize,w_100").ec == "0040-00000019"
    assert refusal(encoded(Image.new("1", (1, 16_385)), "TIFF"), "info/x").code == "InvalidArgument"
    assert refusal(encoded(Image.new("1", (1, 16_385)), "TIFF"), "resize,h_1").ec == "0040-00000018"
    assert refusal(encoded(Image.new("1", (16_384, 1))), "format,webp").ec == "0040-00000011"


def test_too_many_pictures_are_refused() -> None:
    one = encoded(Image.new("P", (1, 1)), "GIF")
    start = one.index(b",", 13)
    many = one[:start] + one[start:-1] * (images.MAX_FRAMES + 1) + b";"
    assert refusal(many, "resize,w_1").code == "ImageTooLarge"
    # 41 pictures of 1500 x 1500 are 92 million pixels.
    large = encoded(Image.new("P", (1500, 1500)), "GIF")
    start = large.index(b",", 13)
    assert refusal(large[:start] + large[start:-1] * 41 + b";", "crop,w_1").code == "ImageTooLarge"


def test_pillows_own_warning_of_a_bomb_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for side in (12, 1000):
            assert refusal(encoded(Image.new("1", (side, side))), "info").code == "ImageTooLarge"


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        b"P6 1 1 255\n\0\0\0",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        encoded(Image.new("RGB", (9, 9)), "ICO"),
        encoded(Image.new("RGB", (9, 9)), "PDF"),
    ],
)
def test_other_formats_of_pillow_are_closed(source: bytes) -> None:
    # Pillow's decoder for one of these formats starts a program.
    assert refusal(source, "resize,w_1").message == "This image format is not supported."


def test_one_image_at_a_time_and_not_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PATIENCE", 0.01)
    with images._drawing:
        assert refusal(PHOTO, "info").status == 503
    assert process(PHOTO, parse("image/info"))


# Damage

WHOLE = {
    "jpeg": photo_turned(6, (40, 30)),
    "tiff": encoded(quarters(40, 30), "TIFF", compression="tiff_deflate"),
    "moving gif": moving(size=(20, 10)),
    **{name: encoded(quarters(40, 30), name) for name in ("PNG", "GIF", "BMP", "WEBP")},
}


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_half_an_image_is_refused(name: str) -> None:
    source = WHOLE[name]
    error = refusal(source[: len(source) // 2], "resize,w_10")
    assert (error.status, error.code) == (400, "BadRequest")


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.sampled_from(["info", "resize,w_10", "rotate,45/format,jpg", "crop,w_9/format,gif"]),
    st.randoms(use_true_random=False),
)
def test_a_damaged_image_is_processed_or_refused(
    name: str, actions: str, chance: random.Random
) -> None:
    source = bytearray(WHOLE[name])
    for _ in range(chance.randint(1, 6)):
        source[chance.randrange(len(source))] = chance.randrange(256)
    del source[chance.randint(len(source) // 3, 2 * len(source)) :]
    with warnings.catch_warnings():
        # As in the sandbox, Pillow's warnings are not errors.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with or_refused(400):
            process(bytes(source), parse(f"image/{actions}"))
