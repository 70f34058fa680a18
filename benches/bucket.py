#!/usr/bin/env python3
"""Compares `vcq rebuild` into a bucket of a store on this machine with one into a folder.

    cargo build --release
    python3 benches/bucket.py [PAGES.ndjson] [--samples 1000000] [--pairs 5] [--vcq target/release/vcq]

PAGES are raw pages in the form of `vcq archive export FILE.ndjson`; without them, pages are made (`peers/pages.py`). They are landed in two
journals, one whose dataset is in a folder and one whose dataset is in a bucket, and both are rebuilt in turn. The transfer is what
the same requests with the same bytes take without vcq: a look, a put and a look for each file, one after the other. What is
published must be the same. The store is written here, in Python, and keeps objects in memory: it costs little, and is told apart as its
own process. The last line says how much longer the bucket takes than 1.5 times the folder and the transfer; that it is not
longer decides the exit code.
"""

import argparse
import hashlib
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import Process, Queue
from pathlib import Path
from xml.sax.saxutils import escape

from compare import TARGET, environment, generate

BUCKET, PREFIX = "lake", "vcq/quality"


def serve(port):
    """A store that knows what vcq asks for: look, put, read, list and delete."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from urllib.parse import parse_qs, unquote, urlsplit

    objects = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            # Head and body are two writes, of which the second must not wait for the first one's receipt.
            self.connection.setsockopt(6, 1, 1)

        def log_message(self, *_):
            pass

        def key(self):
            return unquote(urlsplit(self.path).path).lstrip("/")

        def answer(self, status, body=b"", **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("If-None-Match") == "*" and self.key() in objects:
                return self.answer(412)
            objects[self.key()] = (body, self.headers.get("x-amz-meta-sha256"))
            self.answer(200, ETag='"e"')

        def do_HEAD(self):
            if self.key() not in objects:
                return self.answer(404)
            body, sha256 = objects[self.key()]
            kept = {"x_amz_meta_sha256": sha256} if sha256 else {}
            self.answer(
                200, ETag='"e"', Last_Modified="Tue, 01 Apr 2025 00:00:00 GMT", Content_Length=str(len(body)), **kept
            )

        def do_GET(self):
            query = parse_qs(urlsplit(self.path).query)
            if "list-type" in query:
                return self.list(query.get("prefix", [""])[0])
            if self.key() not in objects:
                return self.answer(404)
            self.answer(200, objects[self.key()][0], ETag='"e"', Last_Modified="Tue, 01 Apr 2025 00:00:00 GMT")

        def do_DELETE(self):
            objects.pop(self.key(), None)
            self.answer(204)

        def list(self, prefix):
            found = ""
            for key, (body, _) in sorted(objects.items()):
                name = key.removeprefix(f"{BUCKET}/")
                if name.startswith(prefix):
                    found += (
                        f"<Contents><Key>{escape(name)}</Key><Size>{len(body)}</Size><ETag>e</ETag>"
                        "<LastModified>2025-04-01T00:00:00.000Z</LastModified></Contents>"
                    )
            self.answer(
                200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()
            )

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.put(server.server_address[1])
    server.serve_forever()


class Place:
    """A journal and its dataset."""

    def __init__(self, vcq, work, name, port, pages):
        self.vcq, self.output = vcq, work / name
        output = f"s3://{BUCKET}/{PREFIX}" if port else self.output
        store = f'[store]\nendpoint = "http://127.0.0.1:{port}"\nallow_http = true\n' if port else ""
        self.config = work / f"{name}.toml"
        self.config.write_text(
            f'timezone = "Asia/Shanghai"\nstate = "{work}/{name}.state"\noutput = "{output}"\n{store}', encoding="utf-8"
        )
        self.run("archive", "import", pages)

    def run(self, *words):
        keys = {"AWS_ACCESS_KEY_ID": "simulated", "AWS_SECRET_ACCESS_KEY": "simulated"}
        start = time.monotonic()
        command = [self.vcq, "--config", self.config, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **keys})
        return time.monotonic() - start


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def ask(connection, method, key, body=None):
    connection.request(method, f"/{BUCKET}/{key}", body=body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def transfer(port, files):
    """What the requests take by themselves."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    start = time.monotonic()
    for name, body in files.items():
        for method in ["HEAD", "PUT", "HEAD"]:
            ask(connection, method, f"transfer/{name}", body if method == "PUT" else None)
    return time.monotonic() - start


def check_same(port, files):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for name, body in files.items():
        status, found = ask(connection, "GET", f"{PREFIX}/{name}")
        if status != 200 or hashlib.sha256(found).digest() != hashlib.sha256(body).digest():
            sys.exit(f"{name} is not the same in the bucket")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="?", type=Path, metavar="PAGES.ndjson")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--vcq", type=Path, default=TARGET / "release/vcq")
    return parser.parse_args()


def main():
    options = arguments()
    work = TARGET / "compare"
    work.mkdir(parents=True, exist_ok=True)
    pages = options.pages or generate(environment(), work, options.samples)
    port = Queue()
    store = Process(target=serve, args=(port,), daemon=True)
    store.start()
    port = port.get()
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        scratch = Path(scratch)
        folder = Place(options.vcq, scratch, "folder", None, pages)
        bucket = Place(options.vcq, scratch, "bucket", port, pages)
        runs = []
        for _ in range(options.pairs):
            here, there = folder.run("rebuild"), bucket.run("rebuild")
            files = files_of(folder.output)
            runs.append((here, there, transfer(port, files)))
        check_same(port, files)
    here, there, alone = (statistics.median(times) for times in zip(*runs))
    megabytes = sum(map(len, files.values())) / 1e6
    print(f"{len(files)} files of {megabytes:.1f} MB; medians of {options.pairs} in turn")
    print(f"folder {here:.2f} s, bucket {there:.2f} s, transfer alone {alone:.2f} s")
    allowed = 1.5 * here + alone
    print(f"{there / allowed:.2f} of 1.5 times the folder and the transfer ({allowed:.2f} s)")
    store.terminate()
    sys.exit(there > allowed)


if __name__ == "__main__":
    main()
