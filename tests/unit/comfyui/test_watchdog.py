"""What the log of a ComfyUI says about its worker thread."""

import pytest
from support.recorded import dead_worker_log, history

from api.comfyui.watchdog import worker_died


def test_pitfall_12_the_headline_may_be_gone_from_the_log():
    writes = dead_worker_log()
    assert len(writes) == 300
    assert "prompt_worker" not in "".join(writes)
    assert worker_died(writes)


def test_the_headline_comes_in_pieces():
    assert worker_died(["got prompt\n", "Exception in thread ", "Thread-1 (prompt_worker)", ":\n", "Traceback"])
    assert worker_died(["Exception in thread ", "Thread-12 (prompt_worker)", ":\n"])


@pytest.mark.parametrize(
    "writes",
    [
        # print(text), logging.info(text), a file name, the message of a node's error
        ["Exception in thread Thread-1 (prompt_worker):", "\n", "Traceback (most recent call last):", "\n"],
        ["Exception in thread Thread-1 (prompt_worker):\n", "Traceback (most recent call last):\n"],
        ["Saved Exception in thread Thread-1 (prompt_worker):.png\n"],
        ["!!! Exception during processing !!! \nException in thread Thread-1 (prompt_worker):\nTraceback\n"],
        ["Exception in thread ", "\n", "Thread-1 (prompt_worker)", "\n", ":\n"],
        ['  File "/comfyui/execution.py", line 1, in execute', "\n", "    ", "\n"],
        ['  File "/comfyui/execution.py", line 1, in execute\n', "    return x\n"],
    ],
)
def test_what_a_caller_can_have_written_there_is_no_end(writes: list[str]):
    assert not worker_died(writes)


def test_errors_of_nodes_are_no_end():
    _prompt_id, entry = history("06", "raises ValueError")
    traceback = "".join(entry["status"]["messages"][-1][1]["traceback"])
    assert "execution.py" in traceback
    assert not worker_died(["got prompt\n", f"!!! Exception during processing !!! boom\n{traceback}", "\n"])
    # traceback.print_exc of a custom node: a write per frame, with its line of code
    assert not worker_died(['  File "/comfyui/execution.py", line 3, in process_inputs\n    f(**inputs)\n    ^^^^^\n'])


def test_other_threads_may_die():
    assert not worker_died(
        ["Exception in thread ", "Thread-7 (download)", ":\n", '  File "/x/main.py", line 3, in run\n']
    )
    assert not worker_died([])
