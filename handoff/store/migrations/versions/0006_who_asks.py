"""What was asked to know who speaks, and the answers to the check"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "checks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("address_id", sa.Integer(), nullable=True),
        sa.Column("station_id", sa.Integer(), nullable=True),
        sa.Column("case_id", sa.Integer(), nullable=True),
        sa.Column("is_right", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_checks_conversation_id")
        ),
        sa.ForeignKeyConstraint(["address_id"], ["addresses.id"], name=op.f("fk_checks_address_id")),
        sa.ForeignKeyConstraint(["station_id"], ["stations.id"], name=op.f("fk_checks_station_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_checks_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checks")),
    )
    op.create_index(op.f("ix_checks_at"), "checks", ["at"])
    op.add_column("conversations", sa.Column("asked", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("conversations", "asked")
    op.drop_index(op.f("ix_checks_at"), "checks")
    op.drop_table("checks")
