// Work that is found while it is done, as the directories of a tree are: shared out over the processors. Blocking.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace gantry::engine {

class SharedWork {
 public:
  using Piece = std::function<void()>;

  // Runs the piece and all that is offered meanwhile; returns when all of it has ended. Little work starts no thread.
  void run(Piece first);

  // By a piece, of another one that need not run now. False: enough is waiting for the other threads, do it yourself.
  bool offer(Piece piece);

 private:
  void work();

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::vector<Piece> waiting_;  // the newest is taken first: what it needs is open and in the processor's cache
  size_t running_ = 0;
  std::vector<std::jthread> helpers_;
};

}  // namespace gantry::engine
