"""Recordings of those who have agreed to it"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column(
        "conversations",
        sa.Column("recording", sa.String(length=16), server_default="not_asked", nullable=False),
    )
    op.create_table(
        "recordings",
        sa.Column("turn_id", sa.Integer(), nullable=False),
        sa.Column("sound", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_recordings_turn_id")),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_recordings")),
    )
    op.create_index(op.f("ix_recordings_kept_at"), "recordings", ["kept_at"])


def downgrade() -> None:
    """Back."""
    op.drop_index(op.f("ix_recordings_kept_at"), "recordings")
    op.drop_table("recordings")
    op.drop_column("conversations", "recording")
