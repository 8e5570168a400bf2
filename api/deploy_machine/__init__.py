"""The worker as a machine of ComfyUI Deploy: its runs taken as jobs of ours, and reported to it. Needs no plugin."""
