// A server before the worker that can do what networks do: fail, cut off, hold back.
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What becomes of one request; those after the last one are passed on untouched. */
export type Fault =
  /** Answered by the proxy itself; the worker hears nothing. */
  | { status: number; headers?: Record<string, string>; body?: string }
  /** Passed on, but the connection breaks instead of an answer. */
  | "lose-answer"
  /** Passed on; the connection breaks once so many events of the stream are through. */
  | { cutAfterEvents: number }
  /** The same, but the connection stays open and nothing comes any more. */
  | { silentAfterEvents: number };

export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
}

export class Proxy {
  readonly faults: Fault[] = [];
  readonly seen: Seen[] = [];
  readonly #server: Server;

  private constructor(readonly target: string) {
    this.#server = createServer((asked, answer) => this.#pass(asked, answer, this.faults.shift()));
  }

  static async start(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(asked: IncomingMessage, answer: ServerResponse, fault: Fault | undefined): void {
    const { method = "GET", url: path = "/", headers } = asked;
    this.seen.push({ method, path, headers });
    if (typeof fault === "object" && "status" in fault) {
      asked.resume();
      answer.writeHead(fault.status, fault.headers ?? {}).end(fault.body ?? "");
      return;
    }
    const onward = request(this.target + path, { method, headers }, (given) => {
      if (fault === "lose-answer") {
        given.resume();
        given.once("end", () => asked.socket.destroy());
        return;
      }
      answer.writeHead(given.statusCode ?? 502, given.headers);
      let left = fault ? (Object.values(fault)[0] ?? 0) : Number.POSITIVE_INFINITY;
      const cut = () => fault && "cutAfterEvents" in fault && setTimeout(() => asked.socket.destroy(), 10);
      given.on("data", (chunk: Buffer) => {
        for (const piece of chunk.toString("latin1").split(/(?<=\n\n)/)) {
          if (left <= 0) return;
          answer.write(Buffer.from(piece, "latin1"));
          if (/^event:/m.test(piece) && piece.endsWith("\n\n")) left -= 1;
          if (left <= 0) cut();
        }
      });
      given.once("end", () => left > 0 && answer.end());
      asked.socket.once("close", () => given.destroy());
    });
    onward.once("error", () => asked.socket.destroy());
    asked.pipe(onward);
  }
}
