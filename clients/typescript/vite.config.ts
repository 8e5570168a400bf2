import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    lib: {
      entry: { index: "src/index.ts", vue: "src/vue.ts" },
      formats: ["es"],
    },
    rollupOptions: { external: ["vue"] },
    sourcemap: true,
    target: "es2022",
  },
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: ["tests/worker.ts"],
    // They share one ComfyUI, which some of them keep busy.
    fileParallelism: false,
    testTimeout: 30_000,
  },
});
