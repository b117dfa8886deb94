"""Posts, the sample's: delete this revision with service/posts, unless it is deployed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "posts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="pk_posts"),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name="fk_posts_author_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_posts_author_id_id", "posts", ["author_id", "id"])
    op.create_table(
        "post_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid()),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column("written_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_post_exports"),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name="fk_post_exports_author_id_users", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_post_exports_author_id", "post_exports", ["author_id"])
    op.create_index("ix_post_exports_created_at", "post_exports", ["created_at"])


def downgrade() -> None:
    op.drop_table("post_exports")
    op.drop_table("posts")
