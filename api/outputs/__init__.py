"""Where a job's outputs go: base64, S3, disk. Knows files and options, no ComfyUI and no HTTP surface."""
