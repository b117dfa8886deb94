"""The relay: hands over what was not handed over, again what Redis has lost, and what is due.

Nothing to change here. Any number may run at once: rows are locked and skipped while locked.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog
from redis import Redis
from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from service import outbox, queue
from service.handover import key_of, push
from service.outbox import QUEUED, RETRYING, RUNNING, Claim, Job, WorkerDied
from service.rows import Row

log = structlog.get_logger()

BATCH = 1000


def sweep(session: Session, client: Redis, again_after: timedelta) -> int:
    """Look at what is due, once, and commit; return how many jobs were looked at.

    What waits is pushed onto its queue unless Redis has it there still, and is looked at again
    after `again_after`. Raises RedisError, and nothing is changed then.
    """
    rows = session.execute(_DUE).all()
    if not rows:
        session.rollback()
        return 0
    for row in rows:
        if row.status == RUNNING:
            claim = Claim(*(getattr(row, name) for name in Claim._fields))
            outbox.fail(session.connection(), claim, WorkerDied("its worker is gone"))
    waiting = [row for row in rows if row.status != RUNNING]
    if waiting:
        _hand_over(session, client, waiting, again_after)
    session.commit()
    return len(rows)


_DUE = (
    select(*(Job.__table__.c[name] for name in (*Claim._fields, "status", "queue")))
    .where(Job.status.in_((QUEUED, RETRYING, RUNNING)), Job.due_at <= func.clock_timestamp())
    .order_by(Job.due_at)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)


def _hand_over(
    session: Session, client: Redis, rows: Sequence[Row], again_after: timedelta
) -> None:
    there = _waiting_in(client, queue.QUEUES)
    missing = [row for row in rows if str(row.id) not in there]
    session.execute(
        update(Job)
        .where(Job.id.in_([row.id for row in rows]))
        .values(
            status=QUEUED,
            queued_at=case((Job.status == RETRYING, func.clock_timestamp()), else_=Job.queued_at),
            due_at=func.clock_timestamp() + again_after,
        )
    )
    # Before the commit: pushed and not committed is harmless, the other way round a delay.
    push(client, [(_known(row.queue), row.id) for row in missing])
    if missing:
        log.info("jobs handed over", count=len(missing))


def _known(name: str) -> str:
    """A queue that workers listen to: this one, unless it is gone with an older release."""
    return name if name in queue.QUEUES else "default"


def _waiting_in(client: Redis, queues: Iterable[str]) -> set[str]:
    """The ids that wait in these queues."""
    with client.pipeline(transaction=False) as pipeline:
        for each in queues:
            pipeline.lrange(key_of(each), 0, -1)
        return {id.decode() for ids in pipeline.execute() for id in ids}
