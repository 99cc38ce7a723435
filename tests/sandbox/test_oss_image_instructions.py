"""The accepted values of x-oss-process=image/..., and the refusals of other values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictures import encoded, opened, or_refused, quarters, text
from sandbox.oss.errors import OssError
from sandbox.oss.image_instructions import (
    GRID,
    MAX_ACTIONS,
    MAX_CHARACTERS,
    MODES,
    Crop,
    Instructions,
    Quality,
    Resize,
    Rotate,
    Watermark,
    parse,
)
from sandbox.oss.images import process

HELLO = f"text_{text('Hello')}"


def refusal(process: str) -> OssError:
    with pytest.raises(OssError) as error:
        parse(process)
    return error.value


def test_reads_every_action() -> None:
    found = parse(
        "image/auto-orient,0/resize,m_pad,w_100,h_200,limit_0,color_FF8000/crop,w_5,g_se,x_1"
        f"/rotate,90/watermark,{HELLO},size_9,g_nw,voffset_-3,fill_1/quality,Q_80/interlace,1"
        "/format,webp"
    )
    assert found == Instructions(
        steps=(
            Resize("pad", 100, 200, limit=False, color=(255, 128, 0)),
            Crop(5, None, 1, 0, "se"),
            Rotate(90),
            Watermark("Hello", (0, 0, 0), 9, 100, 0, 0, "nw", 10, 10, -3, True, 0, 0),
        ),
        auto_orient=False,
        quality=Quality(80, relative=False),
        format="webp",
        progressive=True,
    )
    assert parse("image/info") == Instructions(info=True)


def test_reads_text_with_its_padding_or_without() -> None:
    padded = text("a") + "=="
    for value in (text("a"), padded):
        (step,) = parse(f"image/watermark,text_{value}").steps
        assert isinstance(step, Watermark)
        assert step.text == "a"
    # "-" and "_" stand for base64's "+" and "/". Only the first "_" separates name and value.
    (step,) = parse(f"image/watermark,text_{text('???>>>')}").steps
    assert isinstance(step, Watermark)
    assert step.text == "???>>>"
    assert "_" in text("???>>>")


@pytest.mark.parametrize(
    ("value", "ec"),
    [
        # These examples are from the vendor's documentation of the ECs.
        ("slim,1", "0040-00000213"),
        ("", "0040-00000212"),
        ("rotate,90,200,300", "0040-00000203"),
        ("rotate", "0040-00000216"),
        ("rotate,abc", "0040-00000217"),
        ("rotate,400", "0040-00000217"),
        ("rotate,a_90", "0040-00000217"),
        ("resize,w_100/auto-orient", "0040-00000214"),
        ("resize,w_100/auto-orient,abc", "0040-00000215"),
        ("resize,w_100/auto-orient,10", "0040-00000215"),
        ("format", "0040-00000207"),
        ("format,dng", "0040-00000206"),
        ("format,f_png", "0040-00000206"),
        ("crop,x_100,y_50,w_abc,h_100", "0040-00000225"),
        ("crop,x_100,y_50,w_-1,h_100", "0040-00000225"),
        ("crop,x_100,y_50,w_100,h_-1", "0040-00000226"),
        ("resize", "0040-00000322"),
        ("resize,w_100,m_abc", "0040-00000311"),
        ("resize,w_0", "0040-00000312"),
        ("resize,w_16385", "0040-00000312"),
        ("resize,l_0", "0040-00000314"),
        ("resize,s_0", "0040-00000315"),
        ("resize,p_0", "0040-00000317"),
        ("resize,p_1001", "0040-00000317"),
        ("resize,w_100,limit_3", "0040-00000319"),
        ("quality", "0040-00000307"),
        ("quality,Q_200", "0040-00000308"),
        ("quality,q_200", "0040-00000309"),
        ("quality,200", "0040-00000310"),
        ("watermark", "0040-00000278"),
        ("watermark,text", "0040-00000258"),
        ("watermark,text_notbase64", "0040-00000257"),
        (f"watermark,{HELLO},type_notbase64", "0040-00000250"),
        (f"watermark,{HELLO},type_bm90c3VwcG9ydAo", "0040-00000251"),
        (f"watermark,{HELLO},color_AABBCCDD", "0040-00000254"),
        (f"watermark,{HELLO},size_2000", "0040-00000256"),
        (f"watermark,{HELLO},g_xx", "0040-00000260"),
        (f"watermark,{HELLO},x_8000", "0040-00000262"),
        (f"watermark,{HELLO},t_200", "0040-00000263"),
        (f"watermark,{HELLO},y_8000", "0040-00000264"),
        (f"watermark,{HELLO},voffset_2000", "0040-00000268"),
        (f"watermark,{HELLO},rotate_400", "0040-00000272"),
        (f"watermark,{HELLO},fill_2", "0040-00000274"),
        (f"watermark,text_{text('a' * 65)}", "0040-00000259"),
        # This text has 22 characters, but 66 bytes.
        (f"watermark,text_{text('图' * 22)}", "0040-00000259"),
    ],
)
def test_refuses_with_the_documented_ec(value: str, ec: str) -> None:
    error = refusal(f"image/{value}")
    assert (error.status, error.code, error.ec) == (400, "InvalidArgument", ec)


def test_names_the_value_and_the_parameter_in_the_documented_words() -> None:
    assert refusal("image/resize,w_0").message == "The value: 0 of parameter: w is invalid."
    error = refusal(f"image/watermark,{HELLO},size_40000")
    assert error.message == "The value: 40000 of parameter: size is invalid."


@pytest.mark.parametrize(
    "value",
    [
        "resize,w_100/",
        "/resize,w_100",
        "resize,w_100,",
        "resize,w",
        "resize,w_",
        "resize,w_1.5",
        "resize,w_1e3",
        "resize,w_+5",
        "resize,w_ 5",
        "resize,w_\u0665",
        "resize,w_" + "9" * 5000,
        "resize,W_100",
        "resize,w_100,x_1",
        "resize,w_100,color_red",
        "resize,w_100,color_#00000",
        "resize,m_lfit",
        "crop,x_-1",
        "crop,g_middle",
        "info,1",
        "info/resize,w_100",
        "resize,w_100/info",
        "info/info",
        "interlace,2",
        "quality,q_50,x_1",
        "quality,",
        "watermark,text_/w==",
        f"watermark,{HELLO},shadow_101",
        f"watermark,{HELLO},padx_4097",
        f"watermark,{HELLO},font_x",
        "watermark,text__w",
        "image/resize,w_1",
    ],
)
def test_refuses_what_is_not_documented(value: str) -> None:
    assert refusal(f"image/{value}").code == "InvalidArgument"


@pytest.mark.parametrize(
    "value", ["../../etc/passwd", "/etc/passwd", "/usr/share/fonts/x.ttf", "wqy-zenhei\0", ""]
)
def test_a_font_is_one_of_a_list_never_a_path(value: str) -> None:
    assert refusal(f"image/watermark,{HELLO},type_{text(value)}").code == "InvalidArgument"


@pytest.mark.parametrize(
    "value",
    [
        "image/blur,r_3,s_2",
        "image/circle,r_10",
        "image/average-hue",
        "image/format,heic",
        "image/watermark,image_cGFuZGEucG5n",
        f"image/watermark,{HELLO},image_cGFuZGEucG5n,align_1",
        "image/resize,w_100|sys/saveas,o_dGVzdC5qcGc,b_dGVzdA",
    ],
)
def test_what_only_real_oss_has_is_not_called_wrong(value: str) -> None:
    assert (refusal(value).status, refusal(value).code) == (400, "NotImplemented")


def test_refuses_too_many_actions_and_too_long_a_value() -> None:
    action = "/rotate,90"
    assert len(parse(f"image{action * MAX_ACTIONS}").steps) == MAX_ACTIONS
    assert refusal(f"image{action * (MAX_ACTIONS + 1)}").ec == "0017-00000288"
    assert refusal(f"image/watermark,text_{'a' * MAX_CHARACTERS}").ec == "0017-00000288"


def pairs(**values: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    """Some parameters of an action, in any order. The keywords of the call are the names of the
    parameters. The strategy of a keyword makes the values of this parameter."""
    each = [st.builds("{}_{}".format, st.just(name), value) for name, value in values.items()]
    return st.lists(st.one_of(each), max_size=5).map(",".join)


numbers = st.integers(-2, 300) | st.sampled_from([1, 1000, 4096, 4097, 16384, 16385, "", "x"])
colors = st.sampled_from(["FF0000", "00ff00", "red"])
places = st.sampled_from(GRID)
actions = st.one_of(
    pairs(
        m=st.sampled_from(MODES),
        w=numbers,
        h=numbers,
        l=numbers,
        s=numbers,
        p=numbers,
        limit=st.integers(0, 1),
        color=colors,
    ).map("resize,{}".format),
    pairs(w=numbers, h=numbers, x=numbers, y=numbers, g=places).map("crop,{}".format),
    pairs(
        size=st.integers(0, 60),
        t=numbers,
        shadow=numbers,
        rotate=numbers,
        fill=st.integers(0, 1),
        g=places,
        x=numbers,
        y=numbers,
        voffset=st.integers(-1000, 1000),
        padx=numbers,
        color=colors,
    ).map(f"watermark,{HELLO},{{}}".format),
    numbers.map("rotate,{}".format),
    numbers.map("quality,q_{}".format),
    st.sampled_from(["auto-orient,1", "auto-orient,0", "interlace,1", "info", "", "resize,w_40"]),
    st.sampled_from(["jpg", "png", "webp", "bmp", "gif", "tiff", "heic"]).map("format,{}".format),
    st.text(max_size=20),
)
SOURCES = [
    encoded(quarters(30, 20)),
    encoded(quarters(30, 20), "GIF", save_all=True, append_images=[Image.new("RGB", (30, 20))]),
    encoded(Image.new("LA", (1, 7)), "PNG"),
    encoded(quarters(30, 20), "JPEG"),
]


@settings(max_examples=150)
@given(st.lists(actions, min_size=1, max_size=4).map("/".join), st.sampled_from(SOURCES))
def test_whatever_it_says_it_is_done_or_refused(value: str, source: bytes) -> None:
    with or_refused(400):
        made = process(source, parse(f"image/{value}"))
        assert made.content_type == "application/json" or opened(made.body).size


@settings(max_examples=150)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(value: str) -> None:
    with or_refused(400):
        assert parse(value)
