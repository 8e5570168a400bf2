import { expect, test } from "vitest";
// @ts-expect-error It is a script, without declarations.
import { generate, kept } from "../scripts/types.mjs";

test("the types are those of the worker; if not: npm run types", async () => {
  expect(await generate()).toBe(kept());
}, 90_000);
