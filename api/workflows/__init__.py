"""Workflows as data: pure functions on API-format graphs. Talks to nothing."""
