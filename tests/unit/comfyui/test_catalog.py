"""Node definitions that many threads want at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.scripted_site import Visit, answer, serving

from api.comfyui.catalog import Catalog
from api.comfyui.client import ComfyClient
from api.errors import ComfyError

ASKERS = 5


def test_who_waited_for_an_answer_that_did_not_come_does_not_ask_once_more() -> None:
    came = threading.Semaphore(0)

    def clock() -> float:
        came.release()
        return time.monotonic()

    def slow_and_broken(visit: Visit) -> None:
        visit.released.wait(10)
        answer(b"no", status="404 Not Found")(visit)

    with serving() as site, ThreadPoolExecutor(ASKERS) as threads:
        site.pages |= {"/object_info": slow_and_broken, "/system_stats": answer(b"{}")}
        client = ComfyClient(f"http://127.0.0.1:{site.port}")
        catalog = Catalog(client, clock=clock)
        asked = [threads.submit(catalog.object_info) for _ in range(ASKERS)]
        for _ in asked:
            assert came.acquire(timeout=5)
        site.released.set()
        for each in asked:
            with pytest.raises(ComfyError):
                each.result(10)
        assert site.paths().count("/object_info") == 1

        site.pages["/object_info"] = answer(b'{"SaveImage": {}}')
        assert list(catalog.object_info()) == ["SaveImage"]
        client.close()
