// A log file cut into blocks of whole lines, each rendered once for all who read it: when hundreds follow a log,
// parsing its lines for every one of them costs more than everything else. Any thread may use it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "engine/container/log_reader.h"

namespace gantry::engine {

class LogBlocks {
 public:
  struct Block {
    std::shared_ptr<const std::string> text;  // rendered; never null, empty if no line of the block is wanted
    uint64_t end = 0;                         // in the file; the next block begins here
  };

  // Of the regular file behind `fd`: the same object for all readers that there are at the moment.
  static Result<std::shared_ptr<LogBlocks>> of(const Fd& fd);
  virtual ~LogBlocks() = default;

  // The lines from `begin` on, which is where a line begins. Its end is `begin` if there is no whole line (yet).
  virtual Result<Block> at(uint64_t begin, const LogRendering& rendering) = 0;
};

}  // namespace gantry::engine
