"""Keeps jobs durably: SQLite by default, PostgreSQL for a fleet. One set of statements for both."""
