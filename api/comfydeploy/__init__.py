"""ComfyUI Deploy: its API as a client, a catalogue of what the account has, and a target that runs jobs there."""
