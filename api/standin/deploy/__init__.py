"""CPU stand-in of ComfyUI Deploy's API: the account, runs that make pictures, webhooks."""
