"""Node definitions that are asked of a ComfyUI once for all who want them, and never waited for without end."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator

import pytest
from support.scripted_site import Site, Visit, answer, serving

from api.comfyui.catalog import Catalog
from api.comfyui.client import ComfyClient
from api.errors import ComfyProtocolError, ComfyUnreachable
from api.ids import InstanceName
from api.routes.comfy_object_info import ObjectInfos

NAME = InstanceName("comfy:1")
NODES = answer(json.dumps({"SaveImage": {"input": {}}}).encode())


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        site.pages |= {"/object_info": NODES, "/system_stats": answer(b"{}")}
        yield site


@pytest.fixture
def infos(site: Site) -> Iterator[ObjectInfos]:
    client = ComfyClient(f"http://127.0.0.1:{site.port}")
    catalog = Catalog(client)
    yield ObjectInfos(lambda _name: (NAME, catalog), wait_s=0.3)
    site.released.set()
    for thread in threading.enumerate():
        if thread.name == "object-info":
            thread.join()
    client.close()


def silent(visit: Visit) -> None:
    """A stopped process: the connection is there, and nothing comes."""
    visit.released.wait()


async def refreshed(infos: ObjectInfos, times: int) -> list[object]:
    return await asyncio.gather(*(infos.known(None, refresh=True) for _ in range(times)), return_exceptions=True)


def test_many_who_refresh_share_one_question(site: Site, infos: ObjectInfos) -> None:
    answers = asyncio.run(refreshed(infos, 40))
    assert all(answer == answers[0] for answer in answers), answers
    assert site.paths().count("/object_info") == 1
    asyncio.run(refreshed(infos, 2))
    assert site.paths().count("/object_info") == 2


def test_one_that_says_nothing_is_not_waited_for_and_what_it_said_before_is_given(
    site: Site, infos: ObjectInfos
) -> None:
    known = asyncio.run(infos.known(None, refresh=False))
    site.pages["/object_info"] = silent

    async def meanwhile() -> None:
        started = time.monotonic()
        waiting = asyncio.create_task(refreshed(infos, 40))
        await asyncio.sleep(0.05)
        assert await infos.known(None, refresh=False) == known
        assert not waiting.done()
        for error in await waiting:
            assert isinstance(error, ComfyUnreachable)
            assert error.message.endswith("within 0.3 s. Without refresh you get those it gave before.")
        assert time.monotonic() - started < 5
        assert site.paths().count("/object_info") == 2

    asyncio.run(meanwhile())


def test_a_failure_is_that_of_all_who_wait_and_of_none_who_come_later(site: Site, infos: ObjectInfos) -> None:
    site.pages["/object_info"] = answer(b"no JSON")
    assert {type(error) for error in asyncio.run(refreshed(infos, 5))} == {ComfyProtocolError}
    site.pages["/object_info"] = NODES
    name, known = asyncio.run(infos.known(None, refresh=False))
    assert (name, list(known.nodes)) == (NAME, ["SaveImage"])
