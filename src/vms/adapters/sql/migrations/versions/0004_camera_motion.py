"""How motion is found in cameras' pictures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Null: as every camera begins."""
    op.add_column("cameras", sa.Column("motion", sa.JSON))
