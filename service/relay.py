"""The relay: hands over what was not handed over, again what Redis has lost, and what is due.

Nothing to change here. Any number may run at once: rows are locked and skipped while locked.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from redis import Redis, RedisError
from sqlalchemy import case, func, select, text, update
from sqlalchemy.orm import Session

from service import claims, queue
from service.claims import Claim, WorkerDied
from service.handover import key_of, push
from service.outbox import QUEUED, RETRYING, RUNNING, Job
from service.rows import Row

log = structlog.get_logger()

BATCH = 1000


def sweep(session: Session, client: Redis, again_after: timedelta) -> int:
    """Look at what is due; return how many jobs were looked at.

    A job whose lease has run out has lost an attempt. What waits is pushed onto its queue unless
    Redis has it there still, and is looked at again after `again_after`. No row is locked while
    Redis is waited for. Raises RedisError; nothing that waits is changed then.
    """
    looked_at = _take_back(session)
    there: set[str] | None = None
    while rows := session.execute(_WAITING.limit(BATCH)).all():
        session.rollback()
        if there is None:
            there = _waiting_in(client, queue.QUEUES)
        if not (due := _postpone(session, [row.id for row in rows], again_after)):
            break  # another relay has them
        missing = [(_known(row.queue), row.id) for row in due if str(row.id) not in there]
        try:
            push(client, missing)
        except RedisError:
            _postpone(session, [id for _, id in missing], timedelta(0), due=False)
            raise
        if missing:
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
    select(*(Job.__table__.c[name] for name in (*Claim._fields, "worker")))
    .where(Job.status == RUNNING, Job.due_at <= func.clock_timestamp())
    .order_by(Job.due_at)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
# What a frozen or lost worker has open, it would hold on to: rows, and keys of effects.
_END_CONNECTIONS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY(:names)"
)


def _take_back(session: Session) -> int:
    """Fail the attempts whose leases have run out, and end their workers' connections; commit."""
    rows = session.execute(_EXPIRED).all()
    for row in rows:
        claim = Claim(*(getattr(row, name) for name in Claim._fields))
        claims.fail(session.connection(), claim, WorkerDied("its worker is gone"))
    if rows:
        names = [claims.connection_name(row.worker) for row in rows]
        session.execute(_END_CONNECTIONS, {"names": names})
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


def _waiting_in(client: Redis, queues: Iterable[str]) -> set[str]:
    """The ids that wait in these queues."""
    with client.pipeline(transaction=False) as pipeline:
        for each in queues:
            pipeline.lrange(key_of(each), 0, -1)
        return {id.decode() for ids in pipeline.execute() for id in ids}
