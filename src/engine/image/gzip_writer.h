// Compresses a stream into gzip, fast (ISA-L level 1): what layers that were built here are sent as.
// The same input gives the same bytes. One thread.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"

namespace gantry::engine {

class GzipWriter {
 public:
  using Sink = std::function<Result<>(std::string_view)>;
  explicit GzipWriter(Sink sink);
  ~GzipWriter();
  Result<> write(std::string_view data);
  Result<> finish();

 private:
  struct State;
  Result<> compress(std::string_view data, bool is_last);
  Sink sink_;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::engine
