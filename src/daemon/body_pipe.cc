#include "daemon/body_pipe.h"

#include <fcntl.h>
#include <malloc.h>

#include <thread>
#include <vector>

namespace gantry::daemon {
namespace {

constexpr size_t kPipeSize = 1 << 20;

Result<> copy_body(Exchange& exchange, Fd into) {
  std::vector<char> piece(256 * 1024);
  for (;;) {
    const size_t size = TRY(exchange.read(piece));
    if (size == 0) return {};
    // A reader that has closed its end has what it wants, or has failed: it tells which. The rest is still read, so
    // that the answer is not taken for one to a broken-off request.
    if (into && !write_all(into.get(), {piece.data(), size}).ok()) into.reset();
  }
}

}  // namespace

Result<> with_body(Exchange& exchange, const std::function<Result<>(int)>& work) {
  Pipe pipe = TRY(make_pipe());
  ::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeSize);  // fewer switches; a smaller pipe works as well
  Result<> done;
  std::thread worker([&work, &done, source = std::move(pipe.read)]() mutable {
    done = work(source.get());
    source.reset();
  });
  Result<> copied = copy_body(exchange, std::move(pipe.write));
  worker.join();
  ::malloc_trim(0);  // such work needs much, and may be the last for hours
  if (!copied.ok()) return copied;
  return done;
}

}  // namespace gantry::daemon
