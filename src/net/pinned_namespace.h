// Network namespaces that are kept by a mount on a file, with no process in them. Blocking, any thread.
#pragma once

#include <string>
#include <type_traits>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace gantry::net {

// The namespace on `file`, which is made, with its directory, if it isn't there. A new one has its loopback interface up and
// forwards packets.
Result<Fd> ensure_namespace(const std::string& file);
// The namespace goes when nothing else holds it. None there is no error.
Result<> remove_namespace(const std::string& file);

Result<> enter_namespace(int netns);

// Runs `action`, which returns a Result, on a thread that has entered the namespace and ends with it.
template <class F>
auto inside_namespace(int netns, F action) -> decltype(action()) {
  using Answer = decltype(action());
  Answer answer = internal_error("not run");
  std::thread([&] {
    auto entered = enter_namespace(netns);
    if (entered.ok()) {
      answer = action();
    } else {
      answer = Answer(std::move(entered).error());
    }
  }).join();
  return answer;
}

}  // namespace gantry::net
