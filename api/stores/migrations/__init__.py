"""Alembic's folder: `env.py` and one file per schema version. Run by `schema.upgrade`, never by the alembic command."""
