"""The stand-in answers as a real ComfyUI 0.3.64 did: recordings played against a real process over sockets."""

import pytest
import requests
from support.recording import Player, load
from support.standin_client import picture, post, wait_history
from support.standin_process import StandinProcess

# Those that build on each other's cache and files are played into one process.
RECORDINGS = [
    ("01_success", "02_fully_cached", "03_partially_cached"),
    ("04_upload_loadimage", "04b_upload_raw_multipart"),
    ("05_validation",),
    ("06_execution_error",),
    ("07_interrupt_and_queue",),
    ("08_preview_temp",),
    ("09_multi_output_batch",),
    ("11_progress_previews_features",),
    ("12_clients",),
    ("14_rest_endpoints",),
    ("15_prompt_options",),
    ("16_free",),
]


@pytest.mark.parametrize("names", RECORDINGS, ids="+".join)
def test_recording(names: tuple[str, ...]):
    with StandinProcess() as comfyui:
        player = Player(comfyui.port, comfyui.output_dir, comfyui.input_dir)
        for name in names:
            player.play(load(name))
        assert player.differences == [], "\n".join(player.differences)
        assert player.compared > 50


def test_it_says_what_it_is():
    with StandinProcess(arguments=["--disable-auto-launch", "--verbose", "INFO", "--cpu"]) as comfyui:
        stats = requests.get(f"{comfyui.url}/system_stats", timeout=5).json()
        assert stats["system"]["comfyui_version"] == "0.3.64-standin"
        assert stats["devices"][0]["type"] == "cpu"
        assert "not a real ComfyUI" in comfyui.log
        assert "ignores --disable-auto-launch --verbose INFO --cpu" in comfyui.log


def test_object_info_lists_the_input_files():
    with StandinProcess() as comfyui:
        (comfyui.input_dir / "b.png").write_bytes(b"")
        info = requests.get(f"{comfyui.url}/api/object_info", timeout=5).json()
        assert info["LoadImage"]["input"]["required"]["image"][0] == ["b.png"]
        assert len(info) > 50


def test_models_come_from_the_base_directory():
    with StandinProcess() as comfyui:
        for name in ("checkpoints/sd/a.safetensors", "embeddings/e.pt"):
            path = comfyui.directory / "models" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(b"")
        assert requests.get(f"{comfyui.url}/models/checkpoints", timeout=5).json() == ["sd/a.safetensors"]
        assert requests.get(f"{comfyui.url}/embeddings", timeout=5).json() == ["e"]


def test_what_newer_versions_have_is_absent():
    with StandinProcess() as comfyui:
        assert requests.get(f"{comfyui.url}/api/jobs?limit=1", timeout=5).status_code == 404
        assert requests.post(f"{comfyui.url}/api/jobs/cancel", json={}, timeout=5).status_code == 405


def test_a_body_over_the_limit_is_413():
    with StandinProcess(arguments=["--max-upload-size", "1"]) as comfyui:
        answer = requests.post(f"{comfyui.url}/prompt", data=b"x" * 2_000_000, timeout=5)
        assert (answer.status_code, answer.text) == (413, "Maximum request body size 1048576 exceeded.")
        features = requests.get(f"{comfyui.url}/features", timeout=5).text
        assert features == '{"supports_preview_metadata": true, "max_upload_size": 1048576.0}'


def test_the_cors_flag_opens_it():
    with StandinProcess(arguments=["--enable-cors-header"]) as comfyui:
        answer = requests.get(f"{comfyui.url}/prompt", headers={"Origin": "http://evil.example"}, timeout=5)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_restart_forgets_all_but_files():
    with StandinProcess() as comfyui:
        post(comfyui.url, picture(), prompt_id="a")
        wait_history(comfyui.url, "a")
        (comfyui.temp_dir / "old.png").write_bytes(b"")
        comfyui.restart()
        assert requests.get(f"{comfyui.url}/history", timeout=5).json() == {}
        assert (comfyui.output_dir / "t/x_00001_.png").exists()
        assert not (comfyui.temp_dir / "old.png").exists()
        assert post(comfyui.url, picture()).json()["number"] == 0


def test_sigterm_kills_at_once():
    with StandinProcess() as comfyui:
        assert comfyui.terminate() == -15


def test_a_busy_port_is_exit_code_1():
    with StandinProcess() as comfyui, pytest.raises(AssertionError, match="exit code 1"):
        StandinProcess(port=comfyui.port).start()


def test_twenty_uploads_of_one_name_get_twenty_names():
    with StandinProcess() as comfyui:
        names = set()
        for i in range(20):
            upload = {"image": ("race.png", f"content {i}".encode(), "image/png")}
            names.add(requests.post(f"{comfyui.url}/upload/image", files=upload, timeout=5).json()["name"])
        assert names == {"race.png"} | {f"race ({i}).png" for i in range(1, 20)}
