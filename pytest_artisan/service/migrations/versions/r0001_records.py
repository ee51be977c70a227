"""Experiments, what was said about them, and what was learnt from it."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "experiments",
        sql.Column("id", sql.String(80), primary_key=True),
        sql.Column("subject", sql.String(64), nullable=False),
        sql.Column("record", sql.LargeBinary, nullable=False),
    )
    op.create_index("ix_experiments_subject", "experiments", ["subject"])
    op.create_table(
        "feedback",
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("experiment", sql.String(80), sql.ForeignKey("experiments.id"), nullable=False, unique=True),
        sql.Column("record", sql.LargeBinary, nullable=False),
    )
    op.create_table(
        "checkpoints",
        sql.Column("subject", sql.String(64), primary_key=True),
        sql.Column("algorithm", sql.String(16), primary_key=True),
        sql.Column("learnt", sql.Integer, nullable=False),
        sql.Column("content", sql.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    for table in ("checkpoints", "feedback", "experiments"):
        op.drop_table(table)
