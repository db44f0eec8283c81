#!/bin/sh
# base-image.sh BIN TAR: loads gantry-base:bookworm, a minimal Debian, into the image store. Made with
# mmdebstrap when no registry has it; TAR keeps the result, so that the next time takes a second.
set -eu
bin=$1
tar=$2
if "$bin/gantry" images -q gantry-base:bookworm | grep -q .; then exit 0; fi
if [ ! -s "$tar" ]; then
  mkdir -p "$(dirname "$tar")"
  mmdebstrap --quiet --variant=minbase bookworm "$tar.part.tar"
  mv "$tar.part.tar" "$tar"
fi
"$bin/gantry" import "$tar" gantry-base:bookworm
