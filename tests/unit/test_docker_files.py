"""The files an image is made of: they parse, the linters have nothing to say, and they name what exists."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import Settings, table

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*Dockerfile"))
SHELL_SCRIPTS = [ROOT / "start.sh", *sorted(DOCKER.glob("*.sh"))]
# folder_paths.py of ComfyUI 0.38.1, and the two old names it maps.
MODEL_FOLDERS = {
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "clip",
    "diffusion_models",
    "unet",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "latent_upscale_models",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
    "background_removal",
    "frame_interpolation",
    "geometry_estimation",
    "optical_flow",
    "detection",
}


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found, f"{name} is not installed; make setup installs it"
    return found


def load(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((DOCKER / name).read_text()))


def succeeds(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_sound(script: Path) -> None:
    assert os.access(script, os.X_OK)
    succeeds("bash", "-n", str(script))


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_is_content(script: Path) -> None:
    succeeds(tool("shellcheck"), str(script))


def test_who_writes_and_who_reads_the_run_files_means_the_same_folder() -> None:
    default = Settings.model_fields["comfy_run_dir"].default
    assert f"${{COMFY_RUN_DIR:={default}}}" in (ROOT / "start.sh").read_text()
    assert f"${{COMFY_RUN_DIR:-{default}}}" in (DOCKER / "healthcheck.sh").read_text()


def test_what_runs_as_root_in_the_image_names_its_shell_in_full() -> None:
    """PATH begins with a folder of ComfyUI's user there."""
    for script in (ROOT / "start.sh", DOCKER / "healthcheck.sh"):
        assert script.read_text().startswith("#!/bin/bash\n")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_is_content(file: Path) -> None:
    succeeds(tool("hadolint"), str(file))


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.name)
def test_what_an_image_copies_exists_and_is_not_ignored(file: Path) -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }  # an allow-list: everything else stays out of the build
    for line in file.read_text().splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            for source in (word for word in line.split()[1:-1] if not word.startswith("--")):
                assert source.split("/")[0] in allowed
                if source.startswith(("docker", "start.sh")):
                    assert (ROOT / source).exists(), source


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.name)
def test_every_image_has_an_init_a_health_check_and_the_old_command(file: Path) -> None:
    text = file.read_text()

    assert 'ENTRYPOINT ["/usr/bin/tini", "--"]' in text
    assert 'CMD ["/start.sh"]' in text
    assert "HEALTHCHECK" in text
    assert "ln -s /opt/worker/start.sh /start.sh" in text
    assert "PYTHONPATH" not in text


def test_the_compose_file_does_what_the_http_api_document_says() -> None:
    services = load("compose.yaml")["services"]
    http = services["comfyui-worker"]

    assert http["profiles"] == ["http"]
    assert http["command"] == ["/start.sh"]
    assert http["environment"]["HTTP_API_MODE"] == "true"
    assert http["environment"]["SQLITE_DB_PATH"] == "/data/comfyui_jobs.db"
    assert "8000:8000" in http["ports"]
    assert any(port.endswith("8188:8188") for port in http["ports"])
    assert "sqlite_data:/data" in http["volumes"]
    assert services["comfyui-worker-serverless"]["profiles"] == ["serverless"]
    assert services["comfyui-worker-serverless"]["environment"]["SERVE_API_LOCALLY"] == "true"
    for service in services.values():
        assert service["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_the_compose_file_passes_on_what_is_set_outside() -> None:
    """A name without a value means that of the shell or of .env beside the file; one of no setting is misspelled."""
    known = {row[0] for row in table(Settings())} | set(re.findall(r"\bCOMFY_[A-Z]+", (ROOT / "start.sh").read_text()))
    for service in load("compose.yaml")["services"].values():
        passed = {name for name, value in service["environment"].items() if value is None}
        assert passed >= {"API_KEY", "ADMIN_API_KEY", "WEBHOOK_SECRET", "JOB_TIMEOUT", "COMFY_ARGS"}
        assert passed <= known
        assert service["env_file"] == [{"path": ".env", "required": False}]


def test_compose_files_use_the_images_that_are_here() -> None:
    for name in ("compose.yaml", "compose.standin.yaml"):
        compose = load(name)
        for service in compose["services"].values():
            assert (ROOT / service["build"]["dockerfile"]).exists()
            named = [volume.split(":")[0] for volume in service.get("volumes", []) if volume[0].isalpha()]
            assert set(named) <= set(compose.get("volumes") or {})


def test_the_volume_offers_every_model_folder() -> None:
    paths = load("extra_model_paths.yaml")["runpod_volume"]

    assert paths.pop("base_path") == "/runpod-volume"
    assert paths.keys() >= MODEL_FOLDERS
    for folders in paths.values():
        assert all(folder.startswith("models/") for folder in folders.split())


def test_the_volume_report_names_what_is_found_and_what_is_not(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "models" / "checkpoints").mkdir(parents=True)
    (volume / "models" / "t2i_adapter").mkdir()
    (volume / "models" / "mine").mkdir()
    (volume / "models" / "checkpoints" / "a model.safetensors").write_bytes(b"x" * 5000)
    (volume / "models" / "checkpoints" / "notes.txt").touch()
    paths = tmp_path / "extra_model_paths.yaml"
    paths.write_text((DOCKER / "extra_model_paths.yaml").read_text().replace("/runpod-volume", str(volume)))

    report = volume_report(paths)

    assert "a model.safetensors" in report
    assert "1 files that are no models" in report
    assert f"controlnet: {volume}/models/t2i_adapter" in report
    assert "2 model folders found" in report
    assert "look there themselves: mine" in report


def test_the_volume_report_says_what_is_missing(tmp_path: Path) -> None:
    assert "NOT FOUND" in volume_report(tmp_path / "none.yaml")
    paths = tmp_path / "extra_model_paths.yaml"
    paths.write_text(f"x:\n  base_path: {tmp_path}/volume\n  vae: models/vae/\n")
    assert "NOT MOUNTED" in volume_report(paths)
    (tmp_path / "volume").mkdir()
    assert "has no folder 'models'" in volume_report(paths)


def volume_report(paths: Path) -> str:
    environment = {**os.environ, "EXTRA_MODEL_PATHS": str(paths)}
    done = subprocess.run(
        [str(DOCKER / "network_volume.sh")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


def test_the_manager_is_set_offline_wherever_it_looks(tmp_path: Path) -> None:
    old = tmp_path / "user" / "default" / "ComfyUI-Manager" / "config.ini"
    old.parent.mkdir(parents=True)
    old.write_text("[default]\nnetwork_mode = public\nsecurity_level = strong\n")
    environment = {**os.environ, "COMFY_ROOT": str(tmp_path)}

    subprocess.run([str(DOCKER / "comfy_manager_set_mode.sh"), "offline"], env=environment, check=True)

    assert old.read_text() == "[default]\nnetwork_mode = offline\nsecurity_level = strong\n"
    assert (tmp_path / "user" / "__manager" / "config.ini").read_text() == "[default]\nnetwork_mode = offline\n"


def test_models_of_an_unknown_type_are_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(DOCKER / "download_models.sh"), "nonsense", str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "flux1-dev-fp8" in done.stderr


def test_the_model_table_is_complete() -> None:
    rows = [line.split() for line in (DOCKER / "models.txt").read_text().splitlines() if not line.startswith("#")]

    for row in rows:
        assert len(row) == 4 or row[4:] == ["token"]
        assert row[1] in MODEL_FOLDERS
        assert row[3].startswith("https://huggingface.co/")
