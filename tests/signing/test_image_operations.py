"""We sign an x-oss-process only if the docs list all of its operations (finding A15)."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processes import A15
from sandbox.oss import image_instructions
from token_service.signing.image_operations import BARE, OPERATIONS, fault
from tried import examples

PAGE = Path(__file__).parents[2] / "docs" / "signed-urls.md"
ROWS = re.findall(
    r"^\| `([a-z-]+)` \| (.*?) \| `(image/[^`]*)` \|$", PAGE.read_text(encoding="utf-8"), re.M
)
FONT = "ZmFuZ3poZW5nc2h1c29uZw"


def test_the_table_of_the_docs_is_the_list_that_counts() -> None:
    def cell(names: list[str]) -> str:
        named = " ".join(f"`{name}`" for name in names if name != BARE)
        return ", or ".join(filter(None, (named, "one value" * (BARE in names)))) or "none"

    listed = {name: cell(list(parameters)) for name, parameters in OPERATIONS.items()}
    assert {name: parameters for name, parameters, _ in ROWS} == listed


@pytest.mark.parametrize(("name", "process"), [(name, process) for name, _, process in ROWS])
def test_the_samples_of_the_docs_are_signed(name: str, process: str) -> None:
    assert fault(process) is None
    assert process.removeprefix("image/").split(",")[0] == name


@pytest.mark.parametrize(
    "process",
    [
        # Examples from the vendor's documentation and the samples of its SDKs.
        "image/resize,m_fixed,w_100,h_100",
        "image/resize,p_50",
        "image/resize,w_500,limit_0",
        "image/resize,l_923,h_600/format,heic",
        "image/resize,m_pad,h_100,w_100,color_ff0000",
        "image/crop,w_100,h_100,x_100,y_100,r_1",
        "image/crop,x_10,y_10,w_200,h_200,g_se",
        "image/indexcrop,y_100,i_10",
        "image/circle,r_100/format,png",
        "image/rounded-corners,r_200/format,png",
        "image/auto-orient,1/resize,w_200",
        "image/blur,r_3,s_2",
        "image/bright,-50/contrast,50",
        "image/sharpen,100",
        "image/rotate,90",
        "image/resize,w_200/format,jpg/interlace,1",
        "image/quality,Q_80",
        "image/quality,80",
        "image/format,avif",
        "image/info",
        "image/average-hue",
        "image/watermark,text_SGVsbG8g5Zu-54mH5pyN5YqhIQ",
        "image/watermark,text_5Zu_54mH_w==",
        "image/watermark,text_SGVsbG8gV29ybGQ,color_FF00FF,size_100,shadow_50,t_100,g_se,x_10,y_10",
        f"image/resize,w_300,h_300/watermark,type_{FONT}==,size_30,text_SGVsbG8g,g_center,rotate_30",
        "image/watermark,text_SGVsbG8g,fill_1,padx_9,pady_9/watermark,text_YQ==,g_west,voffset_-50",
    ],
)
def test_what_the_vendor_shows_is_signed(process: str) -> None:
    assert fault(process) is None


@pytest.mark.parametrize("process", A15)
def test_the_samples_of_the_finding_are_refused(process: str) -> None:
    """An earlier version only had a list of refused operations, and signed all these samples
    (finding A15)."""
    assert fault(process)


@pytest.mark.parametrize(
    "process",
    [
        "",
        "image",
        "image/",
        "image//info",
        "image/info/",
        " image/info",
        "Image/info",
        "image%2Finfo",
        "video/snapshot,t_0",
        "style/small",
        "hls/sign",
        "doc/preview",
        "imm/x",
        "sys/saveas,o_x",
        "image/info|sys/saveas,o_x",
        "image/resize,w_1|image/info",
        "image/blindwatermark,content_x",
        "image/deblindwatermark",
        "image/style,small",
        "image/watermark",
        "image/watermark,g_se",
        "image/watermark,text_SGVsbG8,image_x",
        "image/watermark,image_x,text_SGVsbG8",
        "image/watermark,text_SGVsbG8,image_x,text_SGVsbG8",
        "image/watermark,text_SGVsbG8,order_0",
        "image/watermark,text_",
        "image/watermark,text_a b",
        "image/watermark,text_a%2Cimage_x",
        "image/watermark,text_YQ=,image_x",
        "image/watermark,text_YQ==YQ",
        "image/watermark,text_SGVsbG8,type_eC50dGY",
        "image/watermark,text_SGVsbG8,TEXT_SGVsbG8",
        "image/resize",
        "image/resize,",
        "image/resize,w_",
        "image/resize,w_1,",
        "image/resize,_1",
        "image/resize,1",
        "image/resize,w_1.5",
        "image/resize,w_-1",
        "image/resize,w_1e3",
        "image/resize,w_\u0661",
        "image/resize,w_1\n",
        "image/resize,w_1;h_2",
        "image/resize,m_LFIT",
        "image/resize,color_FFFFFFFF",
        "image/rotate",
        "image/rotate,",
        "image/rotate,90,90",
        "image/rotate,r_90",
        "image/rotate,_90",
        "image/quality,_80",
        "image/quality,80,q_80",
        "image/format,svg",
        "image/format,src",
        "image/info,x",
        "image/info,",
        "image/resize,w_" + "9" * 900,
    ],
)
def test_everything_else_is_refused(process: str) -> None:
    assert fault(process)


def test_a_refusal_says_what_is_accepted_and_quotes_nothing() -> None:
    assert fault("s3cret") == f"must be image/ and one or more of {', '.join(OPERATIONS)}"
    assert fault("image/s3cret") == f"must have only operations of {', '.join(OPERATIONS)}"
    assert fault("image/blur,r_s3cret") == "blur takes r_, s_, as OSS documents it"
    assert fault("image/quality,s3cret") == (
        "quality takes q_, Q_, a single value, as OSS documents it"
    )
    assert fault("image/rotate,s3cret") == "rotate takes a single value, as OSS documents it"
    assert fault("image/info,s3cret") == "info takes no parameters, as OSS documents it"
    assert "text" in str(fault("image/watermark,image_s3cret"))


def test_what_the_sandbox_draws_can_be_signed() -> None:
    """The text `everything` has all operations of the sandbox, with all their parameters. Only
    watermarks that are images are missing."""
    assert set(image_instructions._ACTIONS) <= set(OPERATIONS)
    everything = (
        "image/auto-orient,0/resize,m_pad,w_100,h_200,l_5,s_5,p_5,limit_0,color_FF8000"
        "/crop,w_5,h_5,x_1,y_1,g_se,r_1/rotate,90/quality,Q_80/quality,q_80/quality,80/interlace,1"
        "/watermark,text_SGVsbG8,type_d3F5LXplbmhlaQ,color_000000,size_9,shadow_5,t_5,rotate_5,"
        "fill_1,padx_1,pady_1,g_nw,x_1,y_1,voffset_-3/format,webp"
    )
    image_instructions.parse(everything)
    assert fault(everything) is None
    for name in image_instructions.FONTS:
        encoded = base64.urlsafe_b64encode(name.encode()).decode()
        assert fault(f"image/watermark,text_YQ,type_{encoded}") is None
    for name in image_instructions.FORMATS:
        assert fault(f"image/format,{name}") is None


def values(pattern: str) -> st.SearchStrategy[str]:
    # Shorter texts are as useful, and are generated faster.
    return st.from_regex(pattern.replace("{1,512}", "{1,9}"), fullmatch=True)


def operation(name: str) -> st.SearchStrategy[str]:
    parameters = OPERATIONS[name]
    if not parameters:
        return st.just(name)
    choices = [
        values(pattern).map(("{}" if key == BARE else f"{key}_{{}}").format)
        for key, pattern in parameters.items()
    ]
    if BARE in parameters:
        return st.one_of(choices).map(f"{name},{{}}".format)
    arguments = st.lists(st.one_of(choices), min_size=1, max_size=4)
    if name == "watermark":
        text = values(parameters["text"]).map("text_{}".format)
        arguments = st.tuples(text, arguments).map(lambda made: [*made[1], made[0]])
    return arguments.map(lambda made: ",".join([name, *made]))


few = examples(40, 1_000)
"""Only a few examples are tried, because it takes long to generate an example from regular
expressions."""
PROCESSES = st.lists(
    st.sampled_from(list(OPERATIONS)).flatmap(operation), min_size=1, max_size=3
).map(lambda made: "/".join(["image", *made]))
ODD = st.sampled_from(" |%&+?;:.\\\"'()\n\t\x00\x7f\u00e9\uff0c\u2044\ud800*$~@")


@few
@given(PROCESSES)
def test_whatever_is_put_together_of_the_list_is_signed(process: str) -> None:
    assert fault(process) is None


@few
@given(PROCESSES, ODD, st.integers(0, 10_000))
def test_no_odd_character_gets_anywhere(process: str, odd: str, place: int) -> None:
    """We never sign characters like `%7C`, a blank or a full-width comma, because we do not know
    how OSS reads them (finding A15)."""
    place %= len(process) + 1
    assert fault(process[:place] + odd + process[place:])


@few
@given(
    PROCESSES,
    st.sampled_from(["image_x", "IMAGE_x", "Image_x", "o_x", "b_x", "object_x", "style_x", "P_9"]),
)
def test_no_parameter_that_names_an_object_gets_in(process: str, parameter: str) -> None:
    assert fault(f"{process},{parameter}")
    head, _, rest = process.partition("/")
    name, comma, arguments = rest.partition(",")
    assert fault(f"{head}/{name},{parameter}{comma}{arguments}")


@given(
    st.text(max_size=60)
    | st.text(st.sampled_from("image/watermark,text_resize.w|%sys9"), max_size=60)
)
def test_whatever_is_signed_is_of_the_list(text: str) -> None:
    for process in (text, f"image/{text}"):
        if fault(process) is None:
            assert re.fullmatch("image(/[a-z-]+(,[A-Za-z0-9_=-]+)*)+", process)
            assert {part.partition(",")[0] for part in process.split("/")[1:]} <= set(OPERATIONS)
            assert not re.search("(?i)[/,](image_|sys|saveas|style|blend)", process)


@few
@given(PROCESSES)
def test_another_case_is_another_word(process: str) -> None:
    kind, _, rest = process.partition("/")
    assert fault(f"{kind.upper()}/{rest}")
    for name in {re.split("[,/]", part)[0] for part in rest.split("/")}:
        assert fault(process.replace(f"/{name}", f"/{name.upper()}"))
        assert fault(process.replace(f"/{name}", f"/{name.title()}"))
