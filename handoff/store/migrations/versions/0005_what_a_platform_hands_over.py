"""What a platform hands over and lets be sent; workers' accounts in WeCom"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "credentials",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetching_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_credentials")),
    )
    op.create_table(
        "media",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("media_id", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_media")),
    )
    op.create_table(
        "arrivals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("address_id", sa.Integer(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sa.JSON(), nullable=True),
        sa.Column("taken_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["address_id"], ["addresses.id"], name=op.f("fk_arrivals_address_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("channel", "digest", name=op.f("uq_arrivals_channel")),
    )
    op.create_index("ix_arrivals_open", "arrivals", ["address_id", "done_at"])

    op.create_table(
        "windows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("allowed", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["address_id"], ["addresses.id"], name=op.f("fk_windows_address_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_windows")),
        sa.UniqueConstraint("address_id", "kind", name=op.f("uq_windows_address_id")),
    )

    op.add_column(
        "tasks", sa.Column("asked_by", sa.String(length=16), server_default="opening", nullable=False)
    )
    op.add_column("notices", sa.Column("parts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("workers", sa.Column("wecom_id", sa.String(length=64), nullable=True))
    op.create_index("uq_workers_wecom_id", "workers", ["wecom_id"], unique=True)


def downgrade() -> None:
    """Back."""
    op.drop_index("uq_workers_wecom_id", "workers")
    op.drop_column("workers", "wecom_id")
    op.drop_column("notices", "parts")
    op.drop_column("tasks", "asked_by")
    op.drop_table("windows")
    op.drop_index("ix_arrivals_open", "arrivals")
    op.drop_table("arrivals")
    op.drop_table("media")
    op.drop_table("credentials")
