"""Every visit is a row in postgres and one more in redis; the page shows both numbers."""
import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8000
PASSWORD_FILE = "/run/secrets/db_password"


def connect():
    import psycopg2

    with open(PASSWORD_FILE, encoding="utf-8") as file:
        password = file.read().strip()
    return psycopg2.connect(os.environ["DATABASE"], password=password, connect_timeout=3)


def prepare():
    with connect() as database, database.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visits (id serial PRIMARY KEY, at timestamptz DEFAULT now())")


def count_visit():
    import redis

    with connect() as database, database.cursor() as cursor:
        cursor.execute("INSERT INTO visits DEFAULT VALUES")
        cursor.execute("SELECT count(*) FROM visits")
        rows = cursor.fetchone()[0]
    return rows, redis.Redis(os.environ["CACHE"], socket_timeout=3).incr("visits")


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, "ok\n")
        if self.path != "/":
            return self.answer(404, "There is only one page.\n")
        try:
            rows, hits = count_visit()
        except Exception as error:  # whatever is wrong with the stores: the page says so
            return self.answer(503, f"{type(error).__name__}: {error}\n")
        return self.answer(200, f"rows in postgres: {rows}\nvisits in redis: {hits}\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    if "--health" in sys.argv:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2) as answer:
            sys.exit(0 if answer.status == 200 else 1)
    # PID 1 has no default handler for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    prepare()
    print(f"shop: serving on port {PORT}", flush=True)
    ThreadingHTTPServer(("", PORT), Shop).serve_forever()


if __name__ == "__main__":
    main()
