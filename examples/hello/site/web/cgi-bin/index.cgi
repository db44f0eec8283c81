#!/bin/sh
# The page: asks the store, which counts.
if count=$(timeout 3 wget -q -O - "$STORE_URL/cgi-bin/count"); then
  printf 'Content-Type: text/html\r\n\r\n'
  printf '<!doctype html>\n<title>Hello</title>\n<h1>Hello from Gantry</h1>\n<p>You are visitor number %s.</p>\n' "$count"
else
  printf 'Status: 502 Bad Gateway\r\nContent-Type: text/plain\r\n\r\nThe store does not answer.\n'
fi
