/** A small workflow for who has none at hand. It runs on any ComfyUI: it needs no model. */

export const EXAMPLE = {
  1: {
    class_type: "EmptyImage",
    inputs: { width: 768, height: 512, batch_size: 1, color: 0x0b3b4f },
    _meta: { title: "Background" },
  },
  2: {
    class_type: "EmptyImage",
    inputs: { width: 384, height: 256, batch_size: 1, color: 0xf2b45c },
    _meta: { title: "Light" },
  },
  3: { class_type: "SolidMask", inputs: { value: 1, width: 384, height: 256 }, _meta: { title: "Shape" } },
  4: {
    class_type: "FeatherMask",
    inputs: { mask: ["3", 0], left: 120, top: 90, right: 120, bottom: 90 },
    _meta: { title: "Soft edges" },
  },
  5: {
    class_type: "ImageCompositeMasked",
    inputs: { destination: ["1", 0], source: ["2", 0], mask: ["4", 0], x: 192, y: 128, resize_source: false },
    _meta: { title: "Put together" },
  },
  6: { class_type: "SaveImage", inputs: { images: ["5", 0], filename_prefix: "example" }, _meta: { title: "Save" } },
};
