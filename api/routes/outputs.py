"""The outputs the worker keeps, as files: whole or a range, cached by their content, harmless in a browser."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from ..errors import JobNotFound
from ..jobs.service import JobService
from .dialects import job_id_of
from .sent_files import ANSWERS, IfNoneMatch, IfRange, Range, SentFile, send


def router(service: JobService) -> APIRouter:
    """/output/{job_id}/{index}/{filename}; the addresses stand in the results that are asked for with links."""
    routes = APIRouter(tags=["outputs"])
    path = "/output/{job_id}/{index}/{filename:path}"

    @routes.get(
        path,
        summary="One output of a job",
        response_class=StreamingResponse,
        responses=ANSWERS,
    )
    def output(
        request: Request,
        job_id: str,
        index: int,
        filename: str,
        wanted: Range = None,
        if_range: IfRange = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """The file as it was made. Takes `Range` (one range), `If-Range` and `If-None-Match`."""
        found = service.output(job_id_of(job_id), index)
        if found.filename != filename:
            raise JobNotFound(f"Output {index} of job {job_id} has another name.")
        return send(SentFile.of(found), wanted, if_range, if_none_match, whole=request.method != "HEAD")

    # Not left to a GET whose body is thrown away: that would read the whole file.
    routes.add_api_route(path, output, methods=["HEAD"], include_in_schema=False)
    return routes
