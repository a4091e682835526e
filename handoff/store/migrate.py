"""Bring the store to the newest form; safe to call at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DatabaseError

from handoff.store.database import is_fault, plain_error, sync_url


def migrate(url: str) -> None:
    """Run what migrations are missing. Raises StoreError with a way to mend it."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(sync_url(url))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DatabaseError as error:
        raise plain_error(error) if is_fault(error) else error from error.orig
    finally:
        engine.dispose()
