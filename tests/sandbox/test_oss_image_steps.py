"""The steps of image processing, whose results are checked by size and pixel."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from pictures import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    WHITE,
    close,
    corners,
    encoded,
    extrema,
    made,
    opened,
    pixel,
    quarters,
    text,
)
from sandbox.oss.errors import OssError

SOURCE = encoded(quarters())
"""200 x 100, the size of the vendor's examples for resize."""

GREY = encoded(Image.new("RGB", (400, 267), (128, 128, 128)))
HELLO = f"text_{text('Hello')}"


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        # The values are the examples in the vendor's documentation.
        ("m_lfit,w_150,h_80", (150, 75)),
        ("m_mfit,w_150,h_80", (160, 80)),
        ("m_fill,w_150,h_80", (150, 80)),
        ("m_pad,w_150,h_80", (150, 80)),
        ("m_fixed,w_150,h_80", (150, 80)),
        # lfit is the default mode, and a side that is not given is computed.
        ("w_150,h_80", (150, 75)),
        ("w_50", (50, 25)),
        ("h_50", (100, 50)),
        ("w_33", (33, 17)),
        ("m_mfit,h_10", (20, 10)),
        # With only one side, these modes make a square.
        ("m_fill,w_60", (60, 60)),
        ("m_pad,h_60", (60, 60)),
        ("m_fixed,w_60", (60, 60)),
        ("l_100", (100, 50)),
        ("s_50", (100, 50)),
        ("l_80,s_80", (80, 40)),
        ("m_fixed,l_90,s_30", (90, 30)),
        ("m_lfit,w_100,l_10,s_10", (100, 50)),
        ("p_50", (100, 50)),
        ("p_300", (600, 300)),
        ("p_1", (2, 1)),
        ("w_50,p_300", (50, 25)),
        # An image is enlarged only with limit_0.
        ("w_400", (200, 100)),
        ("w_400,limit_1", (200, 100)),
        ("w_400,limit_0", (400, 200)),
        ("m_fill,w_400,h_400,limit_0", (400, 400)),
        ("m_pad,w_400,h_400", (200, 100)),
        ("m_fixed,w_100,h_300", (200, 100)),
        ("m_fixed,w_100,h_300,limit_0", (100, 300)),
        ("m_mfit,w_200,h_101", (200, 100)),
        # If a name is repeated, the last value counts.
        ("w_150,w_50", (50, 25)),
    ],
)
def test_resize_makes_this_size(arguments: str, size: tuple[int, int]) -> None:
    assert made(SOURCE, f"resize,{arguments}").size == size


def test_the_longer_side_is_the_height_of_a_tall_image() -> None:
    tall = encoded(quarters(100, 200))
    assert made(tall, "resize,l_100").size == (50, 100)
    assert made(tall, "resize,m_fixed,l_90,s_30").size == (30, 90)


@pytest.mark.parametrize("mode", ["lfit", "mfit", "fixed", "fill"])
def test_resize_keeps_what_is_where(mode: str) -> None:
    image = made(SOURCE, f"resize,m_{mode},w_60,h_60")
    assert corners(image) == [RED, GREEN, BLUE, WHITE]


def test_fill_cuts_off_both_ends_alike() -> None:
    image = Image.new("RGB", (300, 100), WHITE)
    image.paste(RED, (0, 0, 100, 100))
    image.paste(BLUE, (200, 0, 300, 100))
    filled = made(encoded(image), "resize,m_fill,w_100,h_100")
    assert corners(filled) == [WHITE] * 4
    assert made(encoded(image), "resize,m_fill,w_50,h_50").size == (50, 50)


def test_pad_fills_both_ends_alike_with_the_colour() -> None:
    image = made(SOURCE, "resize,m_pad,w_100,h_100,color_FF8000")
    assert corners(image) == [(255, 128, 0)] * 4
    assert [pixel(image, 50, y)[:2] for y in (24, 75)] == [(255, 128)] * 2
    assert pixel(image, 10, 30) == RED
    assert pixel(image, 90, 70) == WHITE
    assert corners(made(SOURCE, "resize,m_pad,w_100,h_100")) == [WHITE] * 4


def test_pad_covers_what_lies_outside_and_leaves_transparency_inside() -> None:
    image = made(
        encoded(Image.new("RGBA", (20, 10))), "resize,m_pad,w_20,h_20,limit_0,color_00ff00"
    )
    assert pixel(image, 2, 2) == (0, 255, 0, 255)
    assert pixel(image, 10, 10)[3] == 0


@pytest.mark.parametrize(
    "arguments",
    ["m_fixed,w_5000,h_5000,limit_0", "w_16384,h_16384,limit_0", "p_1000", "m_mfit,w_9000,limit_0"],
)
def test_refuses_to_make_an_image_beyond_the_limit(arguments: str) -> None:
    # p_1000 would turn 1000 x 2000 pixels into 200 million. A small file must not become such a
    # large image.
    source = encoded(Image.new("1", (1000, 2000)))
    with pytest.raises(OssError) as error:
        made(source, f"resize,{arguments}")
    assert (error.value.status, error.value.code) == (400, "ImageTooLarge")
    assert error.value.ec == "0040-00000007"


def test_a_thin_source_does_not_blow_up_on_the_way() -> None:
    # To cover 4096 x 4096, the whole image would have to be enlarged to 4096 x 81,920,000.
    thin = encoded(Image.new("RGB", (1, 20000), RED))
    image = made(thin, "resize,m_fill,w_4096,h_4096,limit_0")
    assert (image.size, pixel(image, 9, 9)) == ((4096, 4096), RED)
    assert made(thin, "resize,h_10").size == (1, 10)
    assert made(thin, "resize,m_mfit,h_10").size == (1, 10)


@pytest.mark.parametrize(
    ("degrees", "size", "found"),
    [
        (0, (200, 100), [RED, GREEN, BLUE, WHITE]),
        (90, (100, 200), [BLUE, RED, WHITE, GREEN]),
        (180, (200, 100), [WHITE, BLUE, GREEN, RED]),
        (270, (100, 200), [GREEN, WHITE, RED, BLUE]),
        (360, (200, 100), [RED, GREEN, BLUE, WHITE]),
    ],
)
def test_rotate_turns_clockwise(
    degrees: int, size: tuple[int, int], found: list[tuple[int, ...]]
) -> None:
    image = made(SOURCE, f"rotate,{degrees}")
    assert (image.size, corners(image)) == (size, found)


def test_rotate_by_other_angles_enlarges_and_fills_the_corners() -> None:
    black = made(encoded(Image.new("RGB", (100, 100))), "rotate,45")
    assert black.width in (141, 142)
    assert corners(black) == [WHITE] * 4
    assert pixel(black, 70, 70) == BLACK
    clear = made(encoded(Image.new("RGBA", (100, 100), "black")), "rotate,45")
    assert [found[3] for found in corners(clear)] == [0] * 4


def test_rotate_refuses_an_image_whose_side_is_too_long() -> None:
    long = encoded(Image.new("1", (4097, 10)))
    with pytest.raises(OssError) as error:
        made(long, "rotate,90")
    assert error.value.code == "BadRequest"
    assert error.value.message == "Picture exceed the maximum allowable rotation range."
    assert made(long, "resize,w_4096/rotate,90").size == (10, 4096)


def test_actions_are_done_in_their_order() -> None:
    assert made(SOURCE, "resize,w_100/rotate,90").size == (50, 100)
    assert made(SOURCE, "rotate,90/resize,w_50").size == (50, 100)
    assert made(SOURCE, "rotate,90/resize,w_50/crop,w_10,h_20/rotate,90").size == (20, 10)


@pytest.mark.parametrize(
    ("arguments", "size", "first"),
    [
        ("w_50,h_40", (50, 40), RED),
        ("x_150", (50, 100), GREEN),
        ("y_60", (200, 40), BLUE),
        ("w_50,h_40,g_se", (50, 40), WHITE),
        ("w_50,h_40,g_ne", (50, 40), GREEN),
        ("w_50,h_40,g_sw", (50, 40), BLUE),
        # The area is cut off at the edge, as in the example of the vendor's documentation.
        ("w_50,h_40,g_se,x_10,y_10", (40, 30), WHITE),
        ("w_900,h_900", (200, 100), RED),
        ("w_0,h_0", (200, 100), RED),
        ("w_10,h_10,x_1,y_1,r_1", (10, 10), RED),
    ],
)
def test_crop_cuts_out_a_rectangle(
    arguments: str, size: tuple[int, int], first: tuple[int, int, int]
) -> None:
    image = made(SOURCE, f"crop,{arguments}")
    assert (image.size, pixel(image, 0, 0)) == (size, first)


def test_crop_in_the_middle_has_all_four_colours() -> None:
    image = made(SOURCE, "crop,w_20,h_20,g_center")
    assert (image.size, corners(image)) == ((20, 20), [RED, GREEN, BLUE, WHITE])


def test_crop_refuses_a_place_outside() -> None:
    with pytest.raises(OssError) as error:
        made(SOURCE, "crop,x_200")
    assert error.value.code == "BadRequest"
    assert error.value.message == "Advance cut's position is out of image."


def changed(actions: str, source: bytes = GREY) -> tuple[int, int, int, int]:
    """The box around the pixels that an action changed."""
    before, after = opened(source).convert("RGB"), made(source, actions).convert("RGB")
    box = ImageChops.difference(before, after).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize(
    ("place", "beside", "above"),
    [
        ("nw", 0, 0),
        ("north", 1, 0),
        ("ne", 2, 0),
        ("west", 0, 1),
        ("center", 1, 1),
        ("east", 2, 1),
        ("sw", 0, 2),
        ("south", 1, 2),
        ("se", 2, 2),
    ],
)
def test_watermark_stands_in_its_place(place: str, beside: int, above: int) -> None:
    left, top, right, bottom = changed(f"watermark,{HELLO},g_{place},x_20,y_30")
    spaces = [
        (left, (left - 400 + right) / 2, 400 - right),
        (top, (top - 267 + bottom) / 2, 267 - bottom),
    ]
    assert abs(spaces[0][beside] - (20, 0, 20)[beside]) <= 5
    assert abs(spaces[1][above] - (30, 0, 30)[above]) <= 5


def test_watermark_is_by_default_black_40_pixels_and_lower_right() -> None:
    _, top, right, bottom = changed(f"watermark,{HELLO}")
    assert (abs(right - 390) <= 3, abs(bottom - 257) <= 3) == (True, True)
    assert 25 <= bottom - top <= 40
    image = made(GREY, f"watermark,{HELLO}")
    assert extrema(image) == [(0, 128)] * 3


def test_watermark_moves_by_voffset_in_the_middle_row_only() -> None:
    for place, moved in (("center", 25), ("west", 25), ("se", 0)):
        top = changed(f"watermark,{HELLO},g_{place}")[1]
        assert changed(f"watermark,{HELLO},g_{place},voffset_25")[1] - top == moved


def test_watermark_has_its_size_colour_and_opacity() -> None:
    small = changed(f"watermark,{HELLO},size_20")
    large = changed(f"watermark,{HELLO},size_80")
    assert abs((large[2] - large[0]) / (small[2] - small[0]) - 4) < 0.3
    image = made(GREY, f"watermark,{HELLO},color_FF0000,size_80")
    assert extrema(image) == [(128, 255), (0, 128), (0, 128)]
    half = made(GREY, f"watermark,{HELLO},color_FF0000,size_80,t_50")
    (_, red), (green, _), _ = extrema(half)
    assert (red, green) == (191, 64)
    assert extrema(made(GREY, f"watermark,{HELLO},t_0")) == [(128, 128)] * 3


def test_watermark_turns_clockwise() -> None:
    flat = changed(f"watermark,{HELLO},g_center")
    upright = changed(f"watermark,{HELLO},g_center,rotate_90")
    assert abs((flat[2] - flat[0]) - (upright[3] - upright[1])) <= 2
    # The line falls to the right, so its left end is higher.
    line = made(GREY, f"watermark,text_{text('-' * 12)},g_center,rotate_30")
    left, top, right, bottom = changed(f"watermark,text_{text('-' * 12)},g_center,rotate_30")
    middle = ((left + right) // 2, (top + bottom) // 2)
    upper_left = line.crop((left, top, *middle)).convert("L")
    upper_right = line.crop((middle[0] + 9, top, right, middle[1] - 9)).convert("L")
    assert (extrema(upper_left)[0][0], extrema(upper_right)[0][0]) == (0, 128)


def test_watermark_has_a_shadow_below_and_to_the_right() -> None:
    white = f"watermark,{HELLO},size_80,color_FFFFFF,g_nw"
    plain, shaded = made(GREY, white), made(GREY, f"{white},shadow_100")
    assert extrema(plain) == [(128, 255)] * 3
    assert extrema(shaded) == [(0, 255)] * 3
    assert changed(f"{white},shadow_50")[2:] > changed(white)[2:]
    assert made(GREY, f"{white},shadow_0") == plain


def test_watermark_fills_the_image() -> None:
    filled = f"watermark,{HELLO},size_10,fill_1"
    left, top, right, bottom = changed(filled)
    assert (left < 20, top < 20, right > 380, bottom > 250) == (True,) * 4
    image = made(GREY, f"{filled},padx_100,pady_100")
    # The watermark is repeated. In the gap between two copies, the image is unchanged.
    assert extrema(image.crop((40, 0, 120, 267))) == [(128, 128)] * 3
    assert made(GREY, f"{filled},padx_4096,pady_4096").getbbox() is not None


def test_watermark_of_blanks_changes_nothing() -> None:
    assert made(GREY, f"watermark,text_{text('   ')}") == opened(GREY)


@pytest.mark.parametrize(
    "value", ["图片服务", "é", "a\nb", "a\0b", "\u202eabc", "👩‍👩‍👧", "a\u0301" * 9]
)
def test_watermark_draws_boxes_for_what_its_font_has_not(value: str) -> None:
    assert changed(f"watermark,text_{text(value)}")


def test_watermark_shows_the_beginning_of_a_text_that_is_too_long() -> None:
    long = f"watermark,text_{text('W' * 64)},size_40"
    left, _, right, _ = changed(long)
    assert (left < 5, right) == (True, 400)


@pytest.mark.parametrize(("turned", "fill"), [(0, 0), (45, 1)])
def test_the_largest_watermark_needs_no_more_than_the_image(turned: int, fill: int) -> None:
    # If this rotated text (64 letters of 1000 pixels) were drawn completely, it would need an image
    # of 60,000 x 60,000 pixels.
    actions = f"watermark,text_{text('W' * 64)},size_1000,rotate_{turned},fill_{fill},shadow_9"
    assert made(GREY, actions).size == (400, 267)


def test_the_smallest_watermark_fills_a_large_image() -> None:
    large = encoded(Image.new("RGB", (3000, 3000), WHITE))
    assert made(large, f"watermark,text_{text('.')},size_1,fill_1").size == (3000, 3000)


def test_watermark_may_lie_outside() -> None:
    for place in ("nw", "se", "center"):
        actions = f"watermark,{HELLO},g_{place},x_4096,y_4096,voffset_-1000"
        assert made(GREY, actions).size == (400, 267)
        assert made(encoded(Image.new("RGBA", (40, 30))), actions).size == (40, 30)


def test_watermark_is_seen_on_nothing() -> None:
    image = made(encoded(Image.new("RGBA", (400, 267))), f"watermark,{HELLO},color_FF0000")
    assert extrema(image)[3] == (0, 255)
    _, _, right, bottom = image.getbbox() or (0, 0, 0, 0)
    found = [color for _, color in image.getcolors(400 * 267) or []]
    solid = {color for color in found if isinstance(color, tuple) and color[3] == 255}
    assert (abs(right - 390) <= 3, abs(bottom - 257) <= 3, solid) == (
        True,
        True,
        {(255, 0, 0, 255)},
    )
    # The image stays unchanged where there is no letter.
    below = made(encoded(Image.new("RGBA", (400, 267), (0, 0, 255, 100))), f"watermark,{HELLO}")
    assert close(pixel(below, 3, 3), (0, 0, 255, 100))
