"""The trace of a job: NULL where there is none.

On top of the sample's revision, not below it: a database that has that one already would never run
what is put before it. `make remove-sample` links it to the one below.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("traceparent", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "traceparent")
