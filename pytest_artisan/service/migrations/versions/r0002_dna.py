"""The DNA that wishes became."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "dna",
        sql.Column("id", sql.String(64), primary_key=True),
        sql.Column("record", sql.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("dna")
