"""The ComfyUIs that jobs run on, behind one Target."""
