"""Preflights that Chromium sends, and origins as Chromium writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from javascript import need, run
from running_function import running_function
from token_service.http.cors import origins
from token_service.settings.parsing import Refused

pytestmark = pytest.mark.slow

TAURI, CAPACITOR = "http://tauri.localhost", "https://localhost"
"""The origins of web views on Windows and on Android. On iOS the origin is
capacitor://localhost, which Chromium cannot have."""
TRACED = {"baggage": "a=b", "sentry-trace": "1-2"}
SPELLED = (
    *(
        TAURI,
        CAPACITOR,
        "https://app.example.com",
        "https://app.example.com.",
        "https://a_b.example",
    ),
    *("http://app.example.com:8080", "http://app.example.com:443", "https://a..b", "http://-a-"),
    *("https://app.example.com:443", "http://app.example.com:80", "https://[::1]:443"),
    *("https://APP.example.com", "HTTPS://app.example.com", "https://app.example.com/"),
    *(
        "https://app.example.com:x",
        "https://app.example.com:08443",
        "https://app.example.com:65536",
    ),
    *("https://app.example.com:", "https://me@app.example.com", "https://bücher.example"),
    *("https://", "null", "data:,x", "file:///", "blob:https://app.example.com/1", "about:blank"),
    *("javascript:1", "https://*.example.com/path", "app.example.com", "http://a b"),
)


def test_a_page_of_a_web_view_sends_what_its_monitoring_adds_and_no_other_page_does(
    tmp_path: Path,
) -> None:
    """A wrong origin in the list does not affect the right ones (findings F3 and F8)."""
    need("preflights of a browser", browser=True)
    others = ("https://localhost.example", "http://localhost", "http://x.tauri.localhost")
    variables = {
        "ALLOWED_ORIGINS": f"capacitor://localhost,null,{TAURI},{CAPACITOR}:443,{CAPACITOR}",
        "ALLOWED_HEADERS": "Baggage,sentry-trace,cookie",
    }
    with running_function(tmp_path, **variables) as function:
        asks = [
            {"origin": origin, "url": function.url, "headers": headers}
            for origin in (TAURI, CAPACITOR, *others)
            for headers in ({}, TRACED, {**TRACED, "authorization": "x"}, {"traceparent": "1"})
        ]
        told = run("browser_origins.mjs", {"asks": asks, "spelled": SPELLED})
    refused = "TypeError: Failed to fetch"
    expected = [200, 200, 200, refused] * 2 + [refused] * 4 * len(others)
    assert told["outcomes"] == expected
    for text, sent in zip(SPELLED, told["sent"], strict=True):
        try:
            is_accepted = origins(text) == (text,)
        except Refused:
            is_accepted = False
        assert is_accepted == (sent == text != "null"), (text, sent)
