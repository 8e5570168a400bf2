"""Pictures, videos and sounds that were made or sent in, in a folder by day, each with a sidecar that tells of it."""
