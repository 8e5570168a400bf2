"""Input files of a job: decoded or downloaded to disk, and checked. Knows no ComfyUI."""
