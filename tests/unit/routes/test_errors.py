"""Every error of the tree has its status, those of one family at least that of the family."""

from collections.abc import Iterator
from http import HTTPStatus

import pytest

from api import errors
from api.errors import WorkerError
from api.routes.errors import status_of


def tree(kind: type[WorkerError]) -> Iterator[type[WorkerError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize(
    "kind", sorted({*tree(WorkerError)} - {*tree(errors.InvalidSettings)}, key=lambda k: k.__name__)
)
def test_every_error_has_a_status_of_failure(kind: type[WorkerError]) -> None:
    assert status_of(kind.__new__(kind)) >= HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidWorkflow("x"), 400),
        (errors.InputTooLarge("x"), 413),
        (errors.JobNotFound("x"), 404),
        (errors.JobNotReady("x"), 409),
        (errors.KeyReused("x"), 422),
        (errors.KeyInFlight("x"), 409),
        (errors.DuplicateJob("x"), 409),
        (errors.QueueFull("x"), 429),
        (errors.StorageFull("x"), 507),
        (errors.StoreUnavailable("x"), 503),
        (errors.WorkerStopping("x"), 503),
        (errors.ComfyUnreachable("x"), 503),
        (errors.ComfyProtocolError("x"), 502),
        (errors.InternalError("x"), 500),
    ],
)
def test_the_statuses_that_were_promised(error: WorkerError, status: int) -> None:
    assert status_of(error) == status
