"""Model files on this machine: what there is, their hashes, and fetching more. Knows no job and no route."""
