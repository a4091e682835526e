"""What a person agreed to in a conversation, and how they are called"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column(
        "conversations",
        sa.Column("consent", sa.String(length=16), nullable=False, server_default="not_asked"),
    )
    op.add_column("people", sa.Column("called", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("people", "called")
    op.drop_column("conversations", "consent")
