"""What a job is and how it lives. Knows no HTTP, no SQL, no ComfyUI."""
