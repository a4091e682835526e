"""Station cards, and the answers to the check that were given with one"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "cards",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("number", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("void_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_cards_person_id")),
        sa.ForeignKeyConstraint(["made_by"], ["workers.id"], name=op.f("fk_cards_made_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cards")),
        sa.UniqueConstraint("digest", name=op.f("uq_cards_digest")),
    )
    op.create_index(op.f("ix_cards_person_id"), "cards", ["person_id"])
    # Inline: SQLite can't add a constraint later.
    card = sa.Column("card_id", sa.Integer(), sa.ForeignKey("cards.id", name=op.f("fk_checks_card_id")))
    op.add_column("checks", card, inline_references=True)


def downgrade() -> None:
    """Back."""
    op.drop_column("checks", "card_id")
    op.drop_index(op.f("ix_cards_person_id"), "cards")
    op.drop_table("cards")
