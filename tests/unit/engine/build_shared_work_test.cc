#include "engine/build/shared_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

namespace gantry::engine {
namespace {

// A tree of pieces, each of which offers its children or does them itself.
struct Tree {
  SharedWork work;
  std::atomic<int> done = 0;
  std::mutex mutex;
  std::set<std::thread::id> threads = {};

  void visit(int children, int depth) {
    ++done;
    {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    }
    for (int i = 0; depth > 0 && i < children; ++i) {
      const auto piece = [this, children, depth] { visit(children, depth - 1); };
      if (!work.offer(piece)) piece();
    }
  }
};

TEST(SharedWork, EveryPieceIsDoneOnceBeforeItReturns) {
  for (int round = 0; round < 50; ++round) {
    Tree tree;
    tree.work.run([&] { tree.visit(6, 4); });
    EXPECT_EQ(tree.done, 1 + 6 + 36 + 216 + 1296);
  }
}

TEST(SharedWork, LittleWorkStaysOnTheCallersThread) {
  Tree tree;
  tree.work.run([&] { tree.visit(3, 1); });
  EXPECT_EQ(tree.done, 4);
  EXPECT_EQ(tree.threads, std::set{std::this_thread::get_id()});
}

TEST(SharedWork, MuchWorkIsRefusedRatherThanKept) {
  SharedWork work;
  std::atomic<int> kept = 0;
  std::mutex held;
  held.lock();
  work.run([&] {
    for (int i = 0; i < 10'000; ++i) {
      if (work.offer([&held] { const std::lock_guard wait(held); })) ++kept;
    }
    held.unlock();
  });
  EXPECT_LT(kept, 10'000 / 10);
}

}  // namespace
}  // namespace gantry::engine
