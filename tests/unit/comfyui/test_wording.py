"""Text of ComfyUI made fit for callers."""

import pytest

from api.comfyui.wording import presentable, presentable_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boom\n", "boom"),
        ("No such file: '/data/models/a b/x.safetensors'", "No such file: '…/a b/x.safetensors'"),
        ("in /comfyui/nodes.py, line 3", "in …/nodes.py, line 3"),
        (r"C:\ComfyUI\models\x.ckpt is broken", "…/x.ckpt is broken"),
        ("file:///opt/x/y.png", "…/y.png"),
        ("see https://example.com/a/b and 1/2/3 or and/or", "see https://example.com/a/b and 1/2/3 or and/or"),
        ("nul \x00 \x1b[31m red", "nul  [31m red"),
        (
            'bad\nTraceback (most recent call last):\n  File "/a/b.py", line 1\n    x()\nValueError: y',
            "bad\nValueError: y",
        ),
    ],
)
def test_presentable(text: str, expected: str):
    assert presentable(text) == expected


def test_long_text_is_cut():
    assert presentable("x" * 5_000_000, 10) == "xxxxxxxxx…"


def test_values():
    assert presentable_value(5) == 5
    assert presentable_value(None) is None
    assert presentable_value("/etc/ssl/key.pem") == "…/key.pem"
    assert presentable_value({"a": "/etc/ssl/key.pem"}) == "{'a': '…/key.pem'}"
