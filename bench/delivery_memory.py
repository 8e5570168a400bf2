"""Memory a worker needs to deliver a large output to S3: resident size at its peak against the idle process.

Starts a storage of its own in a second process, which writes to disk, and the worker in a third. Fails above 64 MB.
"""

import argparse
import hashlib
import http.server
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MB = 64
CHUNK = 1 << 20


class Storage(http.server.BaseHTTPRequestHandler):
    """Enough of S3 for one upload, in parts or whole; every byte goes straight to disk."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def handle_expect_100(self) -> bool:
        self.send_response_only(100)
        self.end_headers()
        return True

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "uploads" in query:
            self.answer(b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
            return
        with self.target().open("wb") as whole:
            for part in sorted(self.folder.glob("part-*")):
                with part.open("rb") as source:
                    shutil.copyfileobj(source, whole, CHUNK)
                part.unlink()
        self.answer(b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")

    def do_PUT(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        path = self.folder / f"part-{int(query['partNumber'][0]):05}" if "partNumber" in query else self.target()
        left = int(self.headers["Content-Length"])
        with path.open("wb") as target:
            while left:
                chunk = self.rfile.read(min(left, CHUNK))
                target.write(chunk)
                left -= len(chunk)
        self.answer(b"")

    def do_GET(self) -> None:
        path = self.target()
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        with path.open("rb") as source:
            shutil.copyfileobj(source, self.wfile, CHUNK)

    def target(self) -> Path:
        return self.folder / hashlib.sha256(unquote(urlsplit(self.path).path).encode()).hexdigest()

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def storage(folder: str) -> None:
    """The storage's process."""
    Storage.folder = Path(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def resident_mb(key: str) -> float:
    """`VmRSS` (now) or `VmHWM` (peak) of this process."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key)) / 1024


def worker(endpoint: str, folder: str, path: str, size_bytes: int, digest: str, primed: bool) -> None:
    """The measured process: a delivery as the worker makes it. Idle is before boto3, or after, when `primed`."""
    sys.path.insert(0, str(ROOT))
    from api.ids import JobId
    from api.jobs.ports import OutputFile
    from api.jobs.request import OutputOptions
    from api.outputs.delivery import Delivery
    from api.outputs.inline import InlineSink
    from api.outputs.s3 import S3Sink
    from api.s3 import connect

    connection = connect(f"{endpoint}/bucket", "id", "secret")
    delivery = Delivery(inline=InlineSink(), s3=S3Sink(connection))
    if primed:
        assert connection.client
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    idle = resident_mb("VmRSS")
    file = OutputFile("9", "images", 0, "clip.mp4", "", "output", False, Path(path), "video/mp4", size_bytes, digest)
    started = time.monotonic()
    entries, details = delivery.deliver(JobId("bench"), [file], OutputOptions(metadata="strip"), None, Path(folder))
    seconds = time.monotonic() - started
    assert [entry.where.type for entry in entries] == ["s3_url"], details
    print(
        json.dumps({"idle_mb": idle, "peak_mb": resident_mb("VmHWM"), "seconds": seconds, "url": entries[0].where.data})
    )


def make_video(path: Path, size_bytes: int) -> str:
    """Seeded noise, written in pieces; its SHA-256."""
    generator, digest = random.Random(1), hashlib.sha256()
    with path.open("wb") as target:
        for start in range(0, size_bytes, CHUNK):
            chunk = generator.randbytes(min(CHUNK, size_bytes - start))
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()


def digest_of(url: str) -> str:
    """Fetch what was delivered."""
    import urllib.request

    digest = hashlib.sha256()
    with urllib.request.urlopen(url) as answer:
        while chunk := answer.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def main(size_bytes: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stored").mkdir()
        digest = make_video(folder / "clip.mp4", size_bytes)
        this = [sys.executable, __file__]
        with subprocess.Popen(
            [*this, "storage", str(folder / "stored")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout and process.stdin
            endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
            worst = 0.0
            for primed in (False, True):
                arguments = [endpoint, name, str(folder / "clip.mp4"), str(size_bytes), digest, str(int(primed))]
                answer = subprocess.run([*this, "worker", *arguments], check=True, stdout=subprocess.PIPE, text=True)
                found = json.loads(answer.stdout)
                assert digest_of(found["url"]) == digest, "what was delivered is not what was made"
                grown = found["peak_mb"] - found["idle_mb"]
                worst = max(worst, grown)
                print(
                    f"{size_bytes / 1e6:.0f} MB to S3, {'boto3 loaded before' if primed else 'from a fresh worker'}: "
                    f"idle {found['idle_mb']:.1f} MB, peak {found['peak_mb']:.1f} MB, grown by {grown:.1f} MB, "
                    f"{found['seconds']:.2f} s"
                )
            process.stdin.close()
    print(f"{'ok' if worst < LIMIT_MB else 'TOO MUCH'}: {worst:.1f} MB above idle at most, {LIMIT_MB} MB allowed")
    return 0 if worst < LIMIT_MB else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["storage"]:
        storage(sys.argv[2])
    elif sys.argv[1:2] == ["worker"]:
        endpoint, folder, path, size_text, digest, primed = sys.argv[2:8]
        worker(endpoint, folder, path, int(size_text), digest, primed == "1")
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--mb", type=int, default=200)
        sys.exit(main(parser.parse_args().mb * 1_000_000))
