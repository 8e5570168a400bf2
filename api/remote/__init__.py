"""Targets that are not ours: a RunPod serverless endpoint, a SaladTechnologies comfyui-api."""
