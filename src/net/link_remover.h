// Removes interfaces, many at once where many are asked for at once. The kernel waits for all processors to forget
// a removed interface, holding its one lock for interfaces; a hundred removals together wait once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "net/socket_pool.h"

namespace gantry::net {

// Any thread.
class LinkRemover {
 public:
  // `group`: an interface group that no other program uses; what is in it may be removed at any time.
  LinkRemover(SocketPool& sockets, uint32_t group) : sockets_(sockets), group_(group) {}
  ~LinkRemover();  // removes what is still to be removed
  uint32_t group() const { return group_; }

  // Returns when the interface is gone. One that was gone before is no error.
  Result<> remove(const std::string& name);
  Result<> remove(const std::vector<std::string>& names);
  // Returns at once. The interface is given some time to go with its namespace, then it is removed.
  void remove_later(std::string name);
  // `take_down` is called on a thread of its own: after it a bridge carries nothing any more and its routes are gone; what it returns
  // is removed behind it, for which the kernel needs some 40 ms more. Returns its error when it is done; where the kernel's lock for
  // interfaces is taken for longer (dying namespaces, many at once), after a moment: an error is logged then.
  using TakeDown = std::function<Result<std::vector<std::string>>()>;
  Result<> remove_behind(TakeDown take_down);
  // Returns when all that was given to remove_behind() has been taken down.
  void wait_taken_down();
  // Returns when all that remove_behind() was given is gone.
  void settle();
  // An interface of this name is about to be made anew: a removal that was put off is forgotten, one that is under way
  // is waited for.
  void keep(const std::string& name);

 private:
  struct Farewell {
    TakeDown take_down;
    std::optional<Result<>> result;
    bool is_left = false;  // by who asked for it
  };
  struct Round {
    std::vector<std::string> names;
    Result<> result;
    bool done = false;
  };
  Result<> remove_together(const std::vector<std::string>& names);
  void work_off();
  void say_farewells();
  void wake_worker();  // with later_mutex_ held

  SocketPool& sockets_;
  const uint32_t group_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Round> next_;  // gathers names while a round is under way; guarded by mutex_
  bool busy_ = false;            // guarded by mutex_

  std::mutex later_mutex_;
  std::condition_variable later_changed_;
  std::vector<std::string> later_;   // guarded by later_mutex_
  std::vector<std::string> behind_;  // guarded by later_mutex_
  std::vector<std::string> now_;     // the worker removes these; guarded by later_mutex_
  std::deque<std::shared_ptr<Farewell>> farewells_;  // the first is under way; guarded by later_mutex_
  bool stopping_ = false;            // guarded by later_mutex_
  std::thread worker_;               // from the first removal that is put off; guarded by later_mutex_
  std::thread farewell_worker_;      // from the first of those; guarded by later_mutex_
};

}  // namespace gantry::net
