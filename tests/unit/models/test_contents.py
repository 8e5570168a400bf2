"""What lies in the model files of this machine, for those that tell."""

import os
from pathlib import Path

from support.safetensors_files import whole

from api.models.contents import ModelContents
from api.models.folders import ModelFolders


def put(root: Path, name: str, content: bytes) -> Path:
    path = root / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_shapes_of_a_model_by_its_name(tmp_path: Path) -> None:
    put(tmp_path, "sub/a.safetensors", whole(3))
    contents = ModelContents(ModelFolders([tmp_path], {}))
    assert contents.shapes("checkpoints", "sub/a.safetensors") == {"a": [3]}
    assert contents.shapes("checkpoints", r"sub\a.safetensors") == {"a": [3]}


def test_what_is_not_known(tmp_path: Path) -> None:
    put(tmp_path, "a.ckpt", whole(3))
    put(tmp_path, "broken.safetensors", b"<html>")
    contents = ModelContents(ModelFolders([tmp_path], {}))
    for model_type, name in (
        *(("checkpoints", name) for name in ("a.ckpt", "broken.safetensors", "absent.safetensors")),
        *(("loras", "a.ckpt"), ("checkpoints", "../checkpoints/a.ckpt")),
    ):
        assert contents.shapes(model_type, name) is None


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = put(tmp_path, "a.safetensors", whole(3))
    contents = ModelContents(ModelFolders([tmp_path], {}, ttl_s=0.0))
    assert contents.shapes("checkpoints", "a.safetensors") == {"a": [3]}
    path.write_bytes(whole(5))
    os.utime(path, ns=(1, 1))
    assert contents.shapes("checkpoints", "a.safetensors") == {"a": [5]}
