"""ComfyUI Worker. Launched from its own folder, never installed: see handler.py and __main__.py."""

__version__ = "0.1.0"
