"""The relay: hands over what was not handed over, again what Redis has lost, and what is due.

Nothing to change here. Any number may run at once: rows are locked and skipped while locked.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from redis import Redis, RedisError
from sqlalchemy import case, func, select, text, update
from sqlalchemy.orm import Session

from service import claims, metrics, queue
from service.claims import Claim, WorkerDied
from service.handover import key_of, push
from service.outbox import QUEUED, RETRYING, RUNNING, Job
from service.rows import Row

log = structlog.get_logger()

BATCH = 1000
LONGEST = 1.0  # seconds of a sweep: there is more to do than that, and a SIGTERM to notice
RECHECKS = 1000  # jobs a second, at most, that Redis is asked for again


def sweep(session: Session, client: Redis, again_after: timedelta) -> int:
    """Look at what is due, for a second or so; return how many jobs were looked at.

    A job whose lease has run out has lost an attempt. What waits is pushed onto its queue unless
    Redis has it there still, and is looked at again after `again_after`, or after longer behind a
    backlog of which one look takes longer than that. No row is locked while Redis is waited for.
    Raises RedisError; nothing that waits is changed then.
    """
    looked_at, end = _take_back(session), time.monotonic() + LONGEST
    there: set[bytes] | None = None
    while time.monotonic() < end and (rows := session.execute(_WAITING.limit(BATCH)).all()):
        session.rollback()
        if there is None:
            there = _waiting_in(client, queue.QUEUES)
            again_after = max(again_after, timedelta(seconds=len(there) / RECHECKS))
        if not (due := _postpone(session, [row.id for row in rows], again_after)):
            break  # another relay has them
        missing = [(_known(row.queue), row.id) for row in due if str(row.id).encode() not in there]
        try:
            push(client, missing)
        except RedisError:
            _postpone(session, [id for _, id in missing], timedelta(0), due=False)
            raise
        if missing:
            metrics.RELAYED.inc(len(missing))
            log.info("jobs handed over", count=len(missing))
        looked_at += len(due)
    session.rollback()
    return looked_at


_WAITING = (
    select(Job.id)
    .where(Job.status.in_((QUEUED, RETRYING)), Job.due_at <= func.clock_timestamp())
    .order_by(Job.due_at)
)
_EXPIRED = (
    select(*(Job.__table__.c[name] for name in Claim._fields))
    .where(Job.status == RUNNING, Job.due_at <= func.clock_timestamp())
    .order_by(Job.due_at)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
# What a frozen or lost worker has open, it would hold on to: the job's own row, others, and keys of
# effects. So its connections end first, or its row may be locked.
_HOLDERS = select(Job.worker).where(Job.status == RUNNING, Job.due_at <= func.clock_timestamp())
_END_CONNECTIONS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY(:names)"
)


def _take_back(session: Session) -> int:
    """Fail the attempts whose leases have run out, and end their workers' connections; commit."""
    names = [claims.connection_name(worker) for worker in session.scalars(_HOLDERS) if worker]
    if not names:
        session.rollback()
        return 0
    session.execute(_END_CONNECTIONS, {"names": names})
    rows = session.execute(_EXPIRED).all()  # what is locked still is seen by the next sweep
    for row in rows:
        claims.fail(session.connection(), Claim(*row), WorkerDied("its worker is gone"))
        metrics.LEASES_EXPIRED.inc()
    session.commit()
    return len(rows)


def _postpone(
    session: Session, ids: Sequence[UUID], pause: timedelta, due: bool = True
) -> Sequence[Row]:
    """Queue these jobs, to be looked at again after the pause, and commit; those that were due."""
    only = [Job.due_at <= func.clock_timestamp()] if due else []
    locked = (
        select(Job.id)
        .where(Job.id.in_(ids), Job.status.in_((QUEUED, RETRYING)), *only)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    rows = session.execute(
        update(Job)
        .where(Job.id.in_(locked))
        .values(
            status=QUEUED,
            queued_at=case((Job.status == RETRYING, func.clock_timestamp()), else_=Job.queued_at),
            due_at=func.clock_timestamp() + pause,
        )
        .returning(Job.id, Job.queue, Job.due_at)
    ).all()
    session.commit()
    return sorted(rows, key=lambda row: row.id)


def _known(name: str) -> str:
    """A queue that workers listen to: this one, unless it is gone with an older release."""
    return name if name in queue.QUEUES else "default"


def _waiting_in(client: Redis, queues: Iterable[str]) -> set[bytes]:
    """The ids that wait in these queues, and whatever else somebody has put there."""
    with client.pipeline(transaction=False) as pipeline:
        for each in queues:
            pipeline.lrange(key_of(each), 0, -1)
        return {id for ids in pipeline.execute() for id in ids}
