#include "base/loop.h"

#include <unistd.h>

#include "base/tasks.h"

namespace gantry {
namespace {

using namespace std::chrono_literals;

TEST(EventLoop, TimersFireInOrderAndCancelledOnesNever) {
  EventLoop loop;
  std::string order;
  loop.after(2ms, [&] { order += "b"; });
  loop.after(1ms, [&] { order += "a"; });
  auto never = loop.after(1ms, [&] { order += "x"; });
  loop.cancel(never);
  loop.after(4ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(order, "ab");
}

TEST(EventLoop, WorkComesBackOnTheLoopThread) {
  EventLoop loop;
  ThreadPool pool(loop, 2);
  int answer = 0;
  pool.run([] { return std::make_unique<int>(42); },
           [&](std::unique_ptr<int> value) {
             EXPECT_TRUE(loop.is_loop_thread());
             answer = *value;
             pool.run_long([] {}, [&] { loop.stop(); });
           });
  loop.run();
  EXPECT_EQ(answer, 42);
}

TEST(EventLoop, WatcherSeesDataAndHangUp) {
  EventLoop loop;
  Pipe pipe = make_pipe(O_NONBLOCK).value();
  std::string seen;
  FdWatcher watcher(loop, pipe.read.get(), FdWatcher::readable, [&](int) {
    char c;
    ssize_t n = ::read(pipe.read.get(), &c, 1);
    if (n == 1) {
      seen += c;
      pipe.write.reset();
    } else if (n == 0) {
      loop.stop();
    }
  });
  ASSERT_TRUE(write_all(pipe.write.get(), "x"));
  loop.run();
  EXPECT_EQ(seen, "x");
}

}  // namespace
}  // namespace gantry
