"""History entries of a real ComfyUI: verdict, files, texts, error."""

import json

import pytest
from support.recorded import histories, history

from api.comfyui.history import HistoryEntry, HistoryFile, HistoryText, Verdict
from api.errors import CudaFault, ExecutionFailed, ExecutionInterrupted, OutOfVram


def entry(file: str, case: str) -> HistoryEntry:
    prompt_id, content = history(file, case)
    return HistoryEntry.parse(prompt_id, content)


def made(outputs: dict, **more: object) -> HistoryEntry:
    return HistoryEntry.parse("p", {"outputs": outputs, **more})


def ended(name: str, status: str = "success", **data: object) -> dict:
    return {"status_str": status, "messages": [["execution_start", {}], [name, data]]}


def names(found: HistoryEntry) -> list[tuple[str, str, str]]:
    return [(file.key, file.filename, file.kind) for file in found.files()]


def test_a_plain_success():
    found = entry("01", "")
    assert found.verdict is Verdict.SUCCESS
    assert found.error() is None
    assert found.files() == [HistoryFile("3", "images", 0, "ok_00001_.png", "rec01", "output")]
    assert found.cached == frozenset()
    assert found.execution_s == 0.007


def test_pitfall_6_a_fully_cached_run_names_the_old_file_and_says_so():
    found = entry("02", "same graph with other node ids")
    assert names(found) == [("images", "ok_00001_.png", "output")]
    assert found.cached == {"11", "12", "13"}


def test_pitfall_7_a_file_listed_twice_is_one_file():
    found = entry("09", "two SaveImage with the same prefix")
    assert len(found.outputs) == 2
    assert names(found) == [("images", "same_00001_.png", "output")]


def test_same_name_in_another_subfolder_is_another_file():
    item = {"filename": "a.png", "type": "output"}
    found = made({"1": {"images": [{**item, "subfolder": "x"}, {**item, "subfolder": "y"}, {**item, "type": "temp"}]}})
    assert [(file.subfolder, file.kind) for file in found.files()] == [
        ("x", "output"),
        ("y", "output"),
        ("", "temp"),
    ]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("CreateVideo -> SaveVideo", ("images", "vid_00001_.mp4", "output")),
        ("SaveWEBM", ("images", "webm_00001_.webm", "output")),
        ("SaveAnimatedPNG", ("images", "ap_00001_.png", "output")),
        ("EmptyAudio -> SaveAudio", ("audio", "aud_00001_.flac", "output")),
        ("PreviewAudio", ("audio", "ComfyUI_temp_scrbm_00001_.flac", "temp")),
        ("SaveLatent", ("latents", "lat_00001_.latent", "output")),
        ("Preview3D", ("result", "x.glb", "output")),
    ],
)
def test_pitfall_16_files_count_whatever_their_key(case: str, expected: tuple[str, str, str]):
    assert names(entry("10", case)) == [expected]


def test_files_under_custom_keys():
    found = entry("10", "custom ui keys")
    gif, model = found.files()
    assert (gif.key, gif.filename) == ("gifs", "x.mp4")
    assert (model.key, model.filename) == ("3d", "m.glb")


def test_a_3d_name_may_have_a_folder_but_not_leave_the_output_folder():
    found = made({"1": {"result": ["3d\\a/m.glb", "/etc/m.glb", "../m.glb", "note", None, {"camera": 1}]}})
    assert [(file.subfolder, file.filename) for file in found.files()] == [("3d/a", "m.glb")]


@pytest.mark.parametrize(
    "case", ["ui empty dict", "ui with an empty list", "same again: cached silent", "SaveImageWebsocket"]
)
def test_runs_without_outputs(case: str):
    found = entry("10", case)
    assert found.verdict is Verdict.SUCCESS
    assert found.files() == [] and found.texts() == []


def test_texts():
    assert [text.text for text in entry("10", "PreviewAny of int/float/bool").texts()] == ["5", "1.5", "True"]
    assert entry("10", "PreviewAny of a string").texts() == [HistoryText("2", "text", 0, "hello")]


def test_a_string_that_the_server_split_is_joined():
    assert [text.text for text in entry("10", "ui value is a string").texts()] == ["abc"]


def test_other_lists_of_strings_are_no_text():
    assert made({"1": {"format": ["png"], "my_caption": ["a cat"], "tags": [["x", "yy"]]}}).texts() == [
        HistoryText("1", "my_caption", 0, "a cat"),
        HistoryText("1", "tags", 0, "x"),
        HistoryText("1", "tags", 1, "yy"),
    ]


def test_order_is_by_node_id_as_people_count():
    found = entry("09", "three SaveImage nodes")
    assert [file.node_id for file in found.files()] == ["2", "9", "10", "sub:1"]


def test_outputs_of_nodes_that_were_not_to_run_are_left_out():
    found = entry("15", "then a run of ['2','3']")
    assert sorted(found.outputs) == ["2", "3"]
    _, content = history("15", "then a run of ['2','3']")
    assert "5" in content["outputs"], "the server lists it"


def test_outputs_of_nodes_made_by_expansion_are_kept():
    images = {"images": [{"filename": "a.png"}]}
    found = made({"2.0.0.1": images, "7": images}, prompt=[0, "p", {"2": {}, "7": {}}, {}, ["2"]])
    assert list(found.outputs) == ["2.0.0.1"]


def test_failure_after_another_output_keeps_that_output():
    found = entry("06", "one output executed before the error")
    assert found.verdict is Verdict.ERROR
    assert names(found) == [("images", "before_00001_.png", "output")]
    error = found.error()
    assert type(error) is ExecutionFailed
    assert error.message == "The workflow failed in node 4 (RecRaise): ValueError: late"
    assert error.details == [{"node_id": "4", "class_type": "RecRaise", "code": "ValueError", "message": "late"}]


def test_interrupted_is_not_failed():
    found = entry("07", "with its prompt_id")
    assert found.verdict is Verdict.INTERRUPTED
    assert isinstance(found.error(), ExecutionInterrupted)


def test_pitfall_5_a_blocked_branch_is_a_success():
    assert entry("06", "ExecutionBlocker with message").verdict is Verdict.SUCCESS


def test_the_messages_decide_and_not_status_str():
    status = ended("execution_error", "success", node_id="1", node_type="X", exception_message="cycle\n")
    assert made({}, status=status).verdict is Verdict.ERROR


def test_without_messages_status_str_decides():
    assert made({}, status={"status_str": "success"}).verdict is Verdict.SUCCESS
    assert made({}, status={"status_str": "error"}).verdict is Verdict.ERROR
    assert made({}).verdict is Verdict.ERROR


def test_no_traceback_no_path_no_input_gets_out():
    for item in histories():
        found = HistoryEntry.parse(item["prompt_id"], item["entry"])
        error = found.error()
        if error:
            told = json.dumps([error.message, error.details], ensure_ascii=False)
            for secret in ("Traceback", "/comfyui/", "current_inputs", "/nonexistent", "execution.py"):
                assert secret not in told


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("torch.OutOfMemoryError", "anything", OutOfVram),
        ("torch.cuda.OutOfMemoryError", "anything", OutOfVram),
        ("RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB", OutOfVram),
        ("RuntimeError", "CUDA error: out of memory", OutOfVram),
        ("RuntimeError", "Allocation on device 0 would exceed allowed memory. (out of memory)", OutOfVram),
        ("RuntimeError", "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", OutOfVram),
        ("RuntimeError", "CUDA error: device-side assert triggered", CudaFault),
        ("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered", CudaFault),
        ("RuntimeError", "CUDA error: unspecified launch failure", CudaFault),
        ("RuntimeError", "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", CudaFault),
        ("RuntimeError", "no kernel image is available for execution on the device", CudaFault),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied", ExecutionFailed),
        ("MemoryError", "Unable to allocate 9.3 GiB for an array", ExecutionFailed),
    ],
)
def test_kinds_of_failure(kind: str, message: str, expected: type):
    status = ended("execution_error", "error", node_id="5", exception_type=kind, exception_message=message)
    error = made({}, status=status).error()
    assert type(error) is expected


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"outputs": None, "status": None},
        {"outputs": [], "status": []},
        {"outputs": {"1": None, "2": [], "3": {"images": None}, "4": {"images": [None, 5, {}]}}},
        {"status": {"messages": [None, [], ["x"], [5, 5], ["execution_success", None]]}},
        {"prompt": [0, "p", None, None, None]},
    ],
)
def test_odd_entries_are_read(content: dict):
    found = HistoryEntry.parse("p", content)
    assert found.files() == [] and found.texts() == []
