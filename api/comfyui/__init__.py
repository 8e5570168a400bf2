"""The protocol of ONE ComfyUI. Knows no jobs and no settings: plain values in, plain values and errors out.

Protocol facts in the comments were seen with ComfyUI 0.3.64, recorded, unless another release is named.
"""
