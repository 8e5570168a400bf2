/** The call that makes a job, for other programs: curl, Python, RunPod's SDK. Keys are named, never written. */

/** `[{name, text}]` for a body of POST /run. */
export function callsOf(body) {
  const { previews: _previews, ...rest } = body;
  return [
    { name: "curl", text: curl(rest) },
    { name: "Python", text: python(rest) },
    { name: "RunPod", text: runpod(rest) },
  ];
}

function curl(body) {
  return [
    `curl -X POST ${location.origin}/run \\`,
    '  -H "X-API-Key: $API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    "  --data-binary @- <<'JSON'",
    JSON.stringify(body, null, 2),
    "JSON",
    "# The result, once it is completed:",
    `# curl -H "X-API-Key: $API_KEY" ${location.origin}/status/JOB_ID`,
    "",
  ].join("\n");
}

function python(body) {
  return `import os
import time

import requests

BASE = ${quoted(location.origin)}
HEADERS = {"X-API-Key": os.environ.get("API_KEY", "")}
BODY = ${literal(body)}

answer = requests.post(f"{BASE}/run", json=BODY, headers=HEADERS)
answer.raise_for_status()
job_id = answer.json()["job_id"]
while (job := requests.get(f"{BASE}/status/{job_id}?outputs=url", headers=HEADERS).json())["completed_at"] is None:
    time.sleep(1)
print(job["error"] or [image["data"] for image in (job["result"] or {}).get("images", [])])
`;
}

function runpod(body) {
  const { priority, labels: _labels, ...input } = body;
  const job = { input, ...(priority === "low" ? { policy: { lowPriority: true } } : {}) };
  return `import os

# On RunPod leave the next line out, and give the endpoint's id below.
os.environ["RUNPOD_ENDPOINT_BASE_URL"] = ${quoted(`${location.origin}/v2`)}

import runpod

runpod.api_key = os.environ.get("API_KEY", "none")
job = runpod.Endpoint("local").run(
    ${literal(job, "    ")}
)
print(job.output(timeout=600))
`;
}

/** A JSON value as Python writes it. */
function literal(value, indent = "") {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return quoted(value);
  if (typeof value !== "object") return String(value);
  if ("rawJSON" in value) return value.rawJSON;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((each) => literal(each, `${indent}    `))
    : Object.entries(value).map(([name, each]) => `${quoted(name)}: ${literal(each, `${indent}    `)}`);
  const [open, close] = isList ? "[]" : "{}";
  const line = open + parts.join(", ") + close;
  if (line.length + indent.length < 100 && !line.includes("\n")) return line;
  return `${open}\n${parts.map((part) => `${indent}    ${part},\n`).join("")}${indent}${close}`;
}

/** JSON's escapes are Python's as well. */
function quoted(text) {
  return JSON.stringify(text);
}
