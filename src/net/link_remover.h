// Removes interfaces, many at once where many are asked for at once. The kernel waits for all processors to forget
// a removed interface, holding its one lock for interfaces; a hundred removals together wait once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
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

  // Returns when the interface is gone. One that was gone before is no error.
  Result<> remove(const std::string& name);
  Result<> remove(const std::vector<std::string>& names);
  // Returns at once. The interface is given some time to go with its namespace, then it is removed.
  void remove_later(std::string name);
  // Returns as soon as a bridge carries nothing any more, with its routes gone: the kernel needs some 40 ms more to forget
  // it, and whatever else is named is removed with it. One that was gone before is no error.
  Result<> remove_behind(const std::string& bridge, const std::vector<std::string>& others);
  // Returns when all that remove_behind() was given is gone.
  void settle();
  // An interface of this name is about to be made anew: a removal that was put off is forgotten, one that is under way
  // is waited for.
  void keep(const std::string& name);

 private:
  struct Round {
    std::vector<std::string> names;
    Result<> result;
    bool done = false;
  };
  Result<> remove_together(const std::vector<std::string>& names);
  void work_off();
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
  bool stopping_ = false;            // guarded by later_mutex_
  std::thread worker_;               // from the first removal that is put off; guarded by later_mutex_
};

}  // namespace gantry::net
