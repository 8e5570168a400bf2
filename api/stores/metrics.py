"""The numbers of ended jobs on the database of the jobs: read, added to and written back in one transaction."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, or_, select, update

from ..jobs.durations import Experience
from ..jobs.ends import ALL_TIME, Ends, Series
from .database import Database
from .tables import durations, ends

_KEPT_SUBJECTS = 1000


class SqlLedger:
    """`Ledger` on the database of the jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, news: Mapping[Series, Ends], learned: Mapping[str, Experience]) -> Mapping[str, Experience]:
        """Add to what is kept. Another process that adds to the same lines waits until this is done."""

        def work(connection: Connection) -> dict[str, Experience]:
            # In a fixed order, so that two processes never wait for each other in a circle.
            for series in sorted(news):
                self._add_ends(connection, series, news[series])
            return {subject: self._add_experience(connection, subject, learned[subject]) for subject in sorted(learned)}

        return self._database.write(work, durable=False)

    def ends(self, since: int) -> Iterable[tuple[Series, Ends]]:
        """The lines of the hours from `since` on, and those of all time."""
        wanted = select(ends).where(or_(ends.c.hour >= since, ends.c.hour == ALL_TIME))
        rows = self._database.read(lambda connection: connection.execute(wanted).all())
        return [(Series(row.hour, row.workflow, row.instance), Ends.of_json(row.data)) for row in rows]

    def experience(self) -> Mapping[str, Experience]:
        """What is kept of durations, the least recently changed first."""
        wanted = select(durations).order_by(durations.c.changed_at)
        rows = self._database.read(lambda connection: connection.execute(wanted).all())
        return {row.subject: Experience.of_json(row.data) for row in rows}

    def prune(self, before: int) -> None:
        """Forget old hours, and the subjects that were not heard of for longest."""
        surplus = select(durations.c.subject).order_by(durations.c.changed_at.desc()).offset(_KEPT_SUBJECTS)

        def work(connection: Connection) -> None:
            connection.execute(delete(ends).where(ends.c.hour < before, ends.c.hour != ALL_TIME))
            connection.execute(delete(durations).where(durations.c.subject.in_(surplus)))

        self._database.write(work, durable=False)

    def _add_ends(self, connection: Connection, series: Series, more: Ends) -> None:
        key = and_(*(ends.c[name] == value for name, value in series._asdict().items()))
        self._make(connection, ends, {**series._asdict(), "data": Ends().as_json()})
        kept = connection.execute(select(ends.c.data).where(key).with_for_update()).scalar_one()
        whole = Ends.of_json(kept)
        whole.merge(more)
        connection.execute(update(ends).where(key).values(data=whole.as_json()))

    def _add_experience(self, connection: Connection, subject: str, more: Experience) -> Experience:
        key = durations.c.subject == subject
        self._make(connection, durations, {"subject": subject, "changed_at": 0.0, "data": Experience().as_json()})
        kept = connection.execute(select(durations.c.data).where(key).with_for_update()).scalar_one()
        whole = Experience.of_json(kept)
        whole.add(more.samples, more.pace)
        values = {"changed_at": time.time(), "data": whole.as_json()}
        connection.execute(update(durations).where(key).values(values))
        return whole

    def _make(self, connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
        connection.execute(self._database.insert(table).on_conflict_do_nothing(), values)
