"""A CPU stand-in of ComfyUI 0.3.64 for tests and demos; it is not ComfyUI.

It speaks the HTTP and WebSocket protocol as recorded and really computes the image nodes; imports nothing of ours.
"""
