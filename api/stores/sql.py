"""The statements about jobs, one set for every database. Says which rows change, not when or why.

The states in conditions are written out, not bound: a partial index is used only where its condition can be seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Delete,
    Double,
    Insert,
    Select,
    String,
    Update,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from ..jobs.job import ACTIVE, TERMINAL, Lease, Status, sources
from ..jobs.store import Cursor, JobFilter
from .tables import ACTIVE_SQL, QUEUED_SQL, controls, deliveries, idempotency_keys, jobs, tallies

IS_QUEUED = text(QUEUED_SQL)
IS_ACTIVE = text(ACTIVE_SQL)
_LINE = (jobs.c.rank, jobs.c.seq)
_NEWEST = (jobs.c.created_at.desc(), jobs.c.id.desc())

INSERT_JOB: Insert = insert(jobs)
JOB_BY_ID: Select[Any] = select(jobs).where(jobs.c.id == bindparam("job_id"))
LOCK_JOB = JOB_BY_ID.with_for_update()
COUNT_QUEUED: Select[Any] = select(func.count()).select_from(jobs).where(IS_QUEUED)
# One statement, so that a job that ends meanwhile is not counted twice; each part by its own index.
COUNTS = union_all(
    select(literal_column("'queued'").label("status"), func.count()).select_from(jobs).where(IS_QUEUED),
    select(jobs.c.status, func.count()).where(IS_ACTIVE).group_by(jobs.c.status),
    select(tallies.c.status, tallies.c.number),
)
IS_PAUSED: Select[Any] = select(controls.c.paused)
LOCK_LINE: Select[Any] = select(controls.c.id).with_for_update()
KEY: Select[Any] = select(idempotency_keys.c.fingerprint, idempotency_keys.c.job_id).where(
    idempotency_keys.c.key == bindparam("key")
)
FORGET_KEYS: Delete = delete(idempotency_keys).where(idempotency_keys.c.expires_at <= bindparam("now"))
FORGET_KEY: Delete = FORGET_KEYS.where(idempotency_keys.c.key == bindparam("key"))
TALLY: Update = (
    update(tallies).where(tallies.c.status == bindparam("ended")).values(number=tallies.c.number + bindparam("by"))
)
CONTROL: Update = update(controls)
WAITING: ReturningUpdate[Any] = update(jobs).where(IS_QUEUED).returning(jobs)
_AT_TARGET = jobs.c.target == bindparam("place")
UPCOMING_AT: Select[Any] = select(jobs).where(IS_QUEUED, _AT_TARGET).order_by(*_LINE).limit(bindparam("count"))
# The lines of all targets as one: merged by the index alone, then only the rows that are wanted are read.
_FIRST = select(jobs.c.seq).where(IS_QUEUED).order_by(*_LINE).limit(bindparam("count"))
UPCOMING: Select[Any] = select(jobs).where(jobs.c.seq.in_(_FIRST.correlate(None))).order_by(*_LINE)

# FOR UPDATE SKIP LOCKED is for PostgreSQL; SQLite's compiler leaves it out, a write has the database to itself there.
_NEXT = (
    select(jobs.c.seq)
    .where(IS_QUEUED, _AT_TARGET, jobs.c.available_at <= bindparam("now"))
    .where(or_(jobs.c.expires_at.is_(None), jobs.c.expires_at > bindparam("now")))
    .where(~select(controls.c.id).where(controls.c.paused).exists())
    .order_by(*_LINE)
    .limit(1)
    .with_for_update(skip_locked=True, of=jobs)
    .correlate(None)
)
_UNASKED = or_(jobs.c.label.is_(None), jobs.c.label.not_in(bindparam("besides", expanding=True)))
_CLAIM: Update = update(jobs).values(
    status=Status.RUNNING.value,
    worker=bindparam("by"),
    attempt=jobs.c.attempt + 1,
    attempts=jobs.c.attempts + 1,
    started_at=bindparam("now"),
    heartbeat_at=bindparam("now"),
    error=None,
)
CLAIM: ReturningUpdate[Any] = _CLAIM.where(jobs.c.seq == _NEXT.scalar_subquery()).returning(jobs)
CLAIM_BESIDES: ReturningUpdate[Any] = _CLAIM.where(jobs.c.seq == _NEXT.where(_UNASKED).scalar_subquery()).returning(
    jobs
)


def _in(statuses: Iterable[Status]) -> ColumnElement[bool]:
    words = sorted(statuses)
    return jobs.c.status.in_([literal_column(f"'{word.value}'") for word in words]) if words else false()


def leading_to(after: Status, among: frozenset[Status] = frozenset(Status)) -> ColumnElement[bool]:
    """The condition that a job may come to `after`, out of the table of transitions."""
    return _in(sources(after, among))


# The values to set are given when it is executed: built once, such an update costs half.
CHANGE: ReturningUpdate[Any] = update(jobs).where(jobs.c.id == bindparam("of")).returning(jobs)
CHANGE_QUEUED = CHANGE.where(IS_QUEUED)
CHANGE_MOVABLE = CHANGE_QUEUED.where(jobs.c.movable)
_HELD = CHANGE.where(jobs.c.worker == bindparam("by"), jobs.c.attempt == bindparam("nth"))


@cache
def held(after: Status | None = None) -> ReturningUpdate[Any]:
    """An update of a running job by the one who holds its lease, if it may come to `after`."""
    return _HELD.where(IS_ACTIVE if after is None else leading_to(after, ACTIVE))


@cache
def given_back(tried: bool = True) -> ReturningUpdate[Any]:
    """`held` for a job that goes back into the line without having used up an attempt; untried, the claim is undone."""
    back = held(Status.QUEUED).values(attempts=jobs.c.attempts - 1)
    return back if tried else back.values(attempt=jobs.c.attempt - 1)


def by(lease: Lease) -> dict[str, Any]:
    """The parameters of `held` and `given_back`."""
    return {"of": lease.job_id, "by": lease.worker, "nth": lease.attempt}


def stale(before: float) -> Select[Any]:
    """Running jobs whose last heartbeat is older than `before`."""
    wanted = select(jobs).where(IS_ACTIVE, jobs.c.heartbeat_at < before)
    return wanted.order_by(jobs.c.heartbeat_at).with_for_update(skip_locked=True)


class _Shape(NamedTuple):
    """Which conditions a listing has; their values are bound."""

    statuses: tuple[Status, ...]
    given: frozenset[str]


def listed(wanted: JobFilter, limit: int, after: Cursor | None) -> tuple[Select[Any], dict[str, Any]]:
    """A page, newest first, and its parameters."""
    bounds = {"named": wanted.workflow_name, "since": wanted.since, "until": wanted.until}
    bounds["target"] = wanted.target
    bounds |= {} if after is None else {"after_at": after.created_at, "after_id": after.job_id}
    values = {name: value for name, value in bounds.items() if value is not None}
    given = frozenset({*values, "unnamed"}) if wanted.unnamed else frozenset(values)
    shape = _Shape(tuple(sorted(wanted.statuses)), given)
    return _listing(shape), values | {"count": limit}


@lru_cache(maxsize=256)
def _listing(shape: _Shape) -> Select[Any]:
    """Each status is walked in its own index, so rare ones need no long search."""
    if len(shape.statuses) < 2 or "named" in shape.given:
        return _page(shape, shape.statuses)
    keys = jobs.c.seq, jobs.c.created_at, jobs.c.id
    parts = [_page(shape, [status]).with_only_columns(*keys).subquery() for status in shape.statuses]
    merged = union_all(*(select(part) for part in parts)).subquery()
    newest = select(merged.c.seq).order_by(merged.c.created_at.desc(), merged.c.id.desc()).limit(bindparam("count"))
    return select(jobs).where(jobs.c.seq.in_(newest)).order_by(*_NEWEST)


_BOUNDS: Mapping[str, ColumnElement[bool]] = {
    "named": jobs.c.workflow_name == bindparam("named"),
    "unnamed": jobs.c.workflow_name.is_(None),
    "since": jobs.c.created_at >= bindparam("since"),
    "until": jobs.c.created_at < bindparam("until"),
    "target": jobs.c.target == bindparam("target"),
    "after_at": tuple_(jobs.c.created_at, jobs.c.id)
    < tuple_(bindparam("after_at", type_=Double), bindparam("after_id", type_=String)),
}


def _page(shape: _Shape, statuses: Sequence[Status]) -> Select[Any]:
    page = select(jobs).where(*(bound for name, bound in _BOUNDS.items() if name in shape.given))
    page = page.order_by(*_NEWEST).limit(bindparam("count"))
    return page.where(_in(statuses), jobs.c.created_at.is_not(None)) if statuses else page


def place_of(job_id: str) -> Select[Any]:
    """Target, rank and sequence of a waiting job."""
    return select(jobs.c.target, *_LINE).where(jobs.c.id == job_id, IS_QUEUED)


def ahead_of(target: str, rank: float, seq: int) -> ColumnElement[bool]:
    """The condition of waiting ahead of a place in a target's line."""
    return and_(IS_QUEUED, jobs.c.target == target, tuple_(*_LINE) < (rank, seq))


def count_ahead(target: str, rank: float, seq: int) -> Select[Any]:
    """How many jobs wait ahead of a place in a target's line."""
    return select(func.count()).select_from(jobs).where(ahead_of(target, rank, seq))


def end_of_line(target: str, last: bool) -> Select[Any]:
    """The rank at one end of a target's line."""
    end = func.max(jobs.c.rank) if last else func.min(jobs.c.rank)
    return select(end).where(IS_QUEUED, jobs.c.target == target)


def make_room(target: str, rank: float, seq: int) -> Update:
    """Shift everything ahead of a place forward by a second; their order among themselves stays."""
    return update(jobs).where(ahead_of(target, rank, seq)).values(rank=jobs.c.rank - 1)


def overdue(now: float) -> ReturningUpdate[Any]:
    """An update of the waiting jobs whose time to wait is over."""
    return WAITING.where(jobs.c.expires_at <= now)


def removed(job_id: str) -> ReturningDelete[Any]:
    """The deletion of one ended job, returning it."""
    return delete(jobs).where(jobs.c.id == job_id, _in(TERMINAL)).returning(jobs)


def purged(status: Status, finished_before: float, limit: int) -> ReturningDelete[Any]:
    """The deletion of the longest ended jobs of one status, returning them. Those with a webhook to send stay."""
    due = select(deliveries.c.id).where(deliveries.c.job_id == jobs.c.id, text("state = 'due'"))
    old = select(jobs.c.seq).where(
        _in([status]), jobs.c.finished_at.is_not(None), jobs.c.finished_at < finished_before, ~due.exists()
    )
    # As a CTE it is evaluated once: a subquery with a limit and locks may be run again for every row.
    oldest = old.order_by(jobs.c.finished_at).limit(limit).with_for_update(skip_locked=True).cte("oldest")
    return delete(jobs).where(jobs.c.seq.in_(select(oldest.c.seq))).returning(jobs)
