"""Where people can be reached, and who is reached there"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "addresses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("village_id", sa.Integer(), nullable=True),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["village_id"], ["villages.id"], name=op.f("fk_addresses_village_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_addresses")),
        sa.UniqueConstraint("channel", "digest", name=op.f("uq_addresses_channel")),
    )
    op.create_table(
        "reached",
        sa.Column("address_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["address_id"], ["addresses.id"], name=op.f("fk_reached_address_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_reached_person_id")),
        sa.PrimaryKeyConstraint("address_id", "person_id", name=op.f("pk_reached")),
    )
    # Inline: SQLite can't add a constraint later, and to build the table anew would touch every row that refers to it.
    address = sa.Column(
        "address_id", sa.Integer(), sa.ForeignKey("addresses.id", name=op.f("fk_conversations_address_id"))
    )
    op.add_column("conversations", address, inline_references=True)
    op.create_index(op.f("ix_conversations_address_id"), "conversations", ["address_id"])


def downgrade() -> None:
    """Back."""
    op.drop_index(op.f("ix_conversations_address_id"), "conversations")
    op.drop_column("conversations", "address_id")
    op.drop_table("reached")
    op.drop_table("addresses")
