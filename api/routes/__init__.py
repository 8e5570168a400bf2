"""The HTTP side: one file per surface, and what they share (errors, auth, limits, body, access, probes)."""
