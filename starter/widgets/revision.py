"""Widgets."""

import sqlalchemy as sa
from alembic import op


def upgrade() -> None:
    op.create_table(
        "widgets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="pk_widgets"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_widgets_owner_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_widgets_owner_id_id", "widgets", ["owner_id", "id"])


def downgrade() -> None:
    op.drop_table("widgets")
