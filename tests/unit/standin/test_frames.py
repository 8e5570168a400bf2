"""Binary frames, byte by byte."""

import io
import json
import struct

from PIL import Image

from api.standin import frames
from api.standin.progress import Progress, as_preview


def test_text_frame_is_the_recorded_one():
    assert frames.text("2", "fünf").hex() == "000000030000000132" + "fünf".encode().hex()


def test_a_preview_is_scaled_up_to_512():
    frame = frames.preview("JPEG", Image.new("RGB", (96, 64)), 512)
    assert struct.unpack(">II", frame[:8]) == (1, 1)
    assert Image.open(io.BytesIO(frame[8:])).size == (512, 341)


def test_a_full_size_png_with_metadata():
    frame = frames.preview_with_metadata("PNG", Image.new("RGBA", (16, 8)), None, "2", "p")
    kind, length = struct.unpack(">II", frame[:8])
    assert kind == 4
    assert json.loads(frame[8 : 8 + length]) == {
        "node_id": "2",
        "prompt_id": "p",
        "display_node_id": "2",
        "parent_node_id": None,
        "real_node_id": "2",
        "image_type": "image/png",
    }
    assert Image.open(io.BytesIO(frame[8 + length :])).size == (16, 8)


def events_of(*, wants_metadata: bool) -> list[str]:
    heard: list[str] = []
    progress = Progress("p", lambda event, data: heard.append(event), lambda: wants_metadata)
    progress.update("1", 1, 2, Image.new("RGB", (8, 8)))
    return heard


def test_the_frame_comes_before_progress_only_for_clients_with_the_flag():
    assert events_of(wants_metadata=False) == ["progress_state", "progress", "preview"]
    assert events_of(wants_metadata=True) == ["progress_state", "preview", "progress"]


def test_floats_ints_and_cached_ints():
    states: list[list[object]] = []

    def send(event: str, data: dict[str, object] | bytes) -> None:
        assert isinstance(data, dict)
        if event == "progress_state":
            nodes = data["nodes"]
            assert isinstance(nodes, dict)
            states.append([nodes["1"]["value"], nodes["1"]["max"], nodes["1"]["state"]])

    plain = Progress("p", send, lambda: False)
    plain.start("1")
    plain.finish("1")
    counted = Progress("p", send, lambda: False)
    counted.start("1")
    counted.update("1", 1, 5)
    counted.finish("1")
    Progress("p", send, lambda: False).finish("1")
    assert json.dumps(states) == json.dumps(
        [
            [0.0, 1.0, "running"],
            [1.0, 1.0, "finished"],
            [0.0, 1.0, "running"],
            [1, 5, "running"],
            [5, 5, "finished"],
            [1, 1, "finished"],
        ]
    )


def test_a_bare_image_is_a_jpeg_preview():
    image = Image.new("RGB", (4, 4))
    assert as_preview(image) == ("JPEG", image, 512)
    assert as_preview(("PNG", image, None)) == ("PNG", image, None)
