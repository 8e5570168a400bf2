/** Times, sizes and states in words. */

const STATES = {
  pending: "waiting",
  running: "running",
  completed: "done",
  failed: "failed",
  timed_out: "timed out",
  cancelled: "cancelled",
};

/** A job's state. */
export function stateOf(job) {
  return STATES[job.status] ?? job.status;
}

/** What a job is called. */
export function nameOf(job) {
  return job.labels?.name || job.workflow || job.id.slice(0, 8);
}

/** Seconds as "0.4 s", "12 s", "3 min 20 s" or "2 h 5 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** How long ago a moment (epoch seconds) was. */
export function ago(moment) {
  const seconds = Date.now() / 1000 - moment;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(moment * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/** A moment (epoch seconds): the time, with the day when it is another one. */
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  const time = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.toLocaleDateString(undefined, { day: "numeric", month: "short" })}, ${time}`;
}

/** Bytes as "312 B", "4.1 kB", "2.0 MB". */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  let left = bytes;
  while (left >= 1000 && power < units.length - 1) {
    left /= 1000;
    power += 1;
  }
  return `${power && left < 100 ? left.toFixed(1) : Math.round(left)} ${units[power]}`;
}

/** "1 job", "3 jobs". */
export function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
