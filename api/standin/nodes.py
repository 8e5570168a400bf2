"""All node classes of the stand-in, by name."""

from . import (
    filter_nodes,
    image_nodes,
    latent_nodes,
    layout_nodes,
    load_nodes,
    mask_nodes,
    save_nodes,
    scale_nodes,
    standin_nodes,
    text_nodes,
)
from .node_types import NodeClass

NODES: dict[str, NodeClass] = {
    node.name: node
    for module in (
        load_nodes,
        save_nodes,
        image_nodes,
        scale_nodes,
        layout_nodes,
        filter_nodes,
        mask_nodes,
        latent_nodes,
        text_nodes,
        standin_nodes,
    )
    for node in module.NODES
}
