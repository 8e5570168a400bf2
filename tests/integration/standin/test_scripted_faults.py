"""Every scripted fault does what the table says."""

import time

import pytest
import requests
from support.standin_client import Listen, history, kind_of, picture, post, slow, wait_history, where
from support.standin_process import StandinProcess
from support.waiting import wait_for


def get(comfyui: StandinProcess, path: str, timeout_s: float = 5) -> requests.Response:
    return requests.get(comfyui.url + path, timeout=timeout_s)


def test_the_table_is_told_and_faults_are_switched(comfyui: StandinProcess):
    assert "deaf_socket" in get(comfyui, "/standin/faults").json()["known"]
    comfyui.set_fault("slow_execute", 5)
    comfyui.set_fault("ignore_interrupt")
    assert comfyui.faults() == {"slow_execute": 5, "ignore_interrupt": True}
    comfyui.set_fault("ignore_interrupt", False)
    assert comfyui.faults() == {"slow_execute": 5}
    comfyui.clear_faults()
    assert comfyui.faults() == {}
    with pytest.raises(AssertionError, match="unknown fault nope"):
        comfyui.set_fault("nope")


def test_faults_of_the_start_are_gone_after_a_restart():
    with StandinProcess(faults={"view_404": 3}) as comfyui:
        assert comfyui.faults() == {"view_404": 3}
        assert comfyui.restart().faults() == {}
        assert comfyui.restart(faults={"oom": True}).faults() == {"oom": True}


def test_deaf_socket(comfyui: StandinProcess, listen: Listen):
    first = listen("a")
    first.close()
    comfyui.set_fault("deaf_socket", 1)
    deaf = listen("a")
    post(comfyui.url, picture(), client_id="a", prompt_id="p")
    wait_history(comfyui.url, "p")
    assert deaf.hear(0.1) is None
    deaf.close()
    third = listen("a")
    post(comfyui.url, picture(1), client_id="a")
    third.hear_until("execution_success")


def test_stalled_socket(comfyui: StandinProcess, listen: Listen):
    listener = listen("a")
    comfyui.set_fault("stalled_socket")
    post(comfyui.url, picture(), client_id="a", prompt_id="p")
    wait_history(comfyui.url, "p")
    assert listener.hear(0.1) is None
    comfyui.set_fault("stalled_socket", False)
    listener.hear_until("execution_success")


def test_drop_socket(comfyui: StandinProcess, listen: Listen):
    comfyui.set_fault("drop_socket_after", 3)
    comfyui.set_fault("drop_socket_times", 2)
    for _ in range(2):
        listener = listen("a")
        post(comfyui.url, slow(steps=2, dt=0.01), client_id="a", prompt_id="p")
        heard = [kind_of(listener.hear()) for _ in range(4)]
        assert heard[-1] == "closed"
    assert comfyui.faults() == {}


def test_late_history(comfyui: StandinProcess, listen: Listen):
    comfyui.set_fault("late_history", 300)
    listener = listen("a")
    post(comfyui.url, picture(), client_id="a", prompt_id="p")
    listener.hear_until("execution_success")
    assert where(comfyui.url, "p") == "running"
    while listener.hear()["type"] != "executing":
        """Status comes first."""
    assert where(comfyui.url, "p") == "done"


def test_lose_history(comfyui: StandinProcess, listen: Listen):
    comfyui.set_fault("lose_history", 1)
    listener = listen("a")
    post(comfyui.url, picture(), client_id="a", prompt_id="p")
    listener.hear_until("execution_success")
    while listener.hear()["type"] != "executing":
        """Status comes first."""
    assert where(comfyui.url, "p") == "absent"


def test_dead_worker(comfyui: StandinProcess):
    comfyui.set_fault("dead_worker")
    post(comfyui.url, picture(), prompt_id="p")
    post(comfyui.url, picture(), prompt_id="q")
    wait_for(lambda: "Exception in thread Thread-1 (prompt_worker)" in comfyui.log, "the worker's end")
    assert (where(comfyui.url, "p"), where(comfyui.url, "q")) == ("running", "pending")


def test_kill_before():
    with StandinProcess(faults={"kill_before": True}) as comfyui:
        with pytest.raises(requests.ConnectionError):
            post(comfyui.url, picture())
        assert comfyui.wait_exit() == -9


def test_kill_during_the_second_node(comfyui: StandinProcess, listen: Listen):
    comfyui.set_fault("kill_during", 2)
    comfyui.set_fault("exit_code", 3)
    listener = listen("a")
    post(comfyui.url, slow(), client_id="a")
    heard = []
    while (message := listener.hear()) != "closed":
        heard.append(message)
    assert heard[-1] == {"type": "executing", "data": heard[-1]["data"] | {"node": "2"}}
    assert comfyui.wait_exit() == 3


def test_kill_after_leaves_the_files():
    with StandinProcess(faults={"kill_after": True}) as comfyui:
        post(comfyui.url, picture())
        assert comfyui.wait_exit() == -9
        assert [path.name for path in (comfyui.output_dir / "t").iterdir()] == ["x_00001_.png"]
        assert comfyui.restart().is_running


def test_slow_start():
    started = time.monotonic()
    with StandinProcess(faults={"slow_start": 0.5}):
        assert time.monotonic() - started > 0.5


def test_freeze(comfyui: StandinProcess):
    def is_frozen() -> bool:
        try:
            get(comfyui, "/prompt", 0.1)
        except requests.Timeout:
            return True
        return False

    comfyui.set_fault("freeze", 0.5)
    wait_for(is_frozen, "the stop")
    assert get(comfyui, "/prompt").status_code == 200


def test_http_500(comfyui: StandinProcess):
    comfyui.set_fault("http_500", "/history:1")
    assert get(comfyui, "/queue").status_code == 200
    answer = get(comfyui, "/api/history/x")
    assert (answer.status_code, answer.text) == (500, "500 Internal Server Error\n\nServer got itself in trouble")
    assert get(comfyui, "/history").status_code == 200


def test_http_hang(comfyui: StandinProcess):
    comfyui.set_fault("http_hang", "/queue:1")
    with pytest.raises(requests.Timeout):
        get(comfyui, "/queue", 0.1)
    assert get(comfyui, "/queue").status_code == 200


def test_http_delay(comfyui: StandinProcess):
    comfyui.set_fault("http_delay", 100)
    started = time.monotonic()
    get(comfyui, "/prompt")
    assert time.monotonic() - started >= 0.1


def test_truncate_view(comfyui: StandinProcess):
    (comfyui.output_dir / "a.bin").write_bytes(b"x" * 1000)
    comfyui.set_fault("truncate_view", "100:1")
    answer = requests.get(f"{comfyui.url}/view?filename=a.bin", stream=True, timeout=5)
    assert answer.headers["Content-Length"] == "1000"
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        answer.content  # noqa: B018
    assert len(get(comfyui, "/view?filename=a.bin").content) == 1000


def test_view_404(comfyui: StandinProcess):
    (comfyui.output_dir / "a.bin").write_bytes(b"x")
    comfyui.set_fault("view_404", 2)
    assert [get(comfyui, "/view?filename=a.bin").status_code for _ in range(3)] == [404, 404, 200]


def test_accept_then_500(comfyui: StandinProcess):
    comfyui.set_fault("accept_then_500", 1)
    assert post(comfyui.url, picture(), prompt_id="p").status_code == 500
    assert wait_history(comfyui.url, "p")["status"]["completed"] is True


def test_drop_prompt_answer(comfyui: StandinProcess):
    comfyui.set_fault("drop_prompt_answer", 1)
    with pytest.raises(requests.ConnectionError):
        post(comfyui.url, picture(), prompt_id="p")
    assert wait_history(comfyui.url, "p")["status"]["completed"] is True


def test_ignore_interrupt_and_slow_execute(comfyui: StandinProcess):
    comfyui.set_fault("slow_execute", 5000)
    comfyui.set_fault("ignore_interrupt")
    post(comfyui.url, picture(), prompt_id="p")
    while where(comfyui.url, "p") != "running":
        """Pending for a moment."""
    requests.post(f"{comfyui.url}/interrupt", timeout=5)
    with pytest.raises(AssertionError, match="in vain"):
        wait_for(lambda: history(comfyui.url, "p"), "an interrupt that is ignored", 0.1)
    comfyui.set_fault("ignore_interrupt", False)
    requests.post(f"{comfyui.url}/interrupt", json={"prompt_id": "p"}, timeout=5)
    assert wait_history(comfyui.url, "p")["status"]["messages"][-1][0] == "execution_interrupted"


def test_disk_full(comfyui: StandinProcess):
    comfyui.set_fault("disk_full", 1)
    post(comfyui.url, picture(), prompt_id="p")
    told = wait_history(comfyui.url, "p")["status"]["messages"][-1][1]
    assert (told["exception_type"], told["node_type"]) == ("OSError", "SaveImage")
    assert told["exception_message"] == "[Errno 28] No space left on device\n"
    post(comfyui.url, picture(), prompt_id="q")
    assert wait_history(comfyui.url, "q")["status"]["completed"] is True


def test_oom(comfyui: StandinProcess):
    comfyui.set_fault("oom", 1)
    post(comfyui.url, picture(), prompt_id="p")
    told = wait_history(comfyui.url, "p")["status"]["messages"][-1][1]
    assert told["exception_type"] == "torch.OutOfMemoryError"
    assert told["exception_message"].startswith("Allocation on device 0 would exceed allowed memory. (out of memory)\n")
    assert "TIPS: " in told["exception_message"]
