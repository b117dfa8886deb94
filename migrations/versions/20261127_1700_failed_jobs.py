"""An index of the jobs that failed by time: /ops shows the last ones, and they are kept."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_jobs_failed_at",
            "jobs",
            ["finished_at"],
            postgresql_where="status = 'failed'",
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_jobs_failed_at", postgresql_concurrently=True, if_exists=True)
